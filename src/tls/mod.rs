//! TLS: the one place that knows the TLS library.
//!
//! | module | one idea |
//! |---|---|
//! | [`material`] | certificates and keys, as files or PEM text |
//! | [`unverified`] | a client that trusts any server, for `insecureSkipVerify` |

pub mod material;
pub mod unverified;
