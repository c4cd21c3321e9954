//! TLS: the one place that knows the TLS library.
//!
//! | module | one idea |
//! |---|---|
//! | [`cryptography`] | which cryptography clients of the control side use |
//! | [`material`] | certificates and keys, as files or PEM text |
//! | [`unverified`] | a client that trusts any server, for `insecureSkipVerify` |

pub mod cryptography;
pub mod material;
pub mod unverified;
