//! TLS: the one place that knows the TLS library.
//!
//! | module | one idea |
//! |---|---|
//! | [`cryptography`] | which cryptography clients of the control side use |

pub mod cryptography;
