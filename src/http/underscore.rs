//! Header names with underscores, which many origins confuse with dashes.

use super::fields::Fields;

/// `http.underscoreHeadersStrategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// Forwarded like any other.
    #[default]
    Keep,
    /// Removed.
    Delete,
    /// The request is refused.
    Reject,
}

/// A header name with an underscore where they are rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderscoreRejected;

/// Applies the strategy to the header fields of a request, before anything else reads them.
pub fn apply_underscores(
    fields: &mut Fields,
    strategy: Underscores,
) -> Result<(), UnderscoreRejected> {
    let has_underscore = |name: &[u8]| memchr::memchr(b'_', name).is_some();
    match strategy {
        Underscores::Keep => Ok(()),
        Underscores::Delete => {
            fields.retain(|token, name, _| token.is_some() || !has_underscore(name));
            Ok(())
        }
        Underscores::Reject if fields.iter().any(|(name, _)| has_underscore(name)) => {
            Err(UnderscoreRejected)
        }
        Underscores::Reject => Ok(()),
    }
}
