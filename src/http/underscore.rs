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
    if strategy == Underscores::Keep || !fields.may_have_alias() {
        return Ok(());
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::fields::FieldName;

    fn fields(names: &[&str]) -> Fields {
        let mut fields = Fields::new();
        for name in names {
            fields.append(&FieldName::parse(name).unwrap(), b"1");
        }
        fields
    }

    #[test]
    fn strategies() {
        for (strategy, left) in [(Underscores::Keep, 3), (Underscores::Delete, 2)] {
            let mut fields = fields(&["foo_bar", "x-a", "via"]);
            assert_eq!(apply_underscores(&mut fields, strategy), Ok(()));
            assert_eq!(fields.len(), left);
        }
        let mut with = fields(&["x-a", "_"]);
        assert_eq!(
            apply_underscores(&mut with, Underscores::Reject),
            Err(UnderscoreRejected)
        );
        let mut without = fields(&["x-a", "via"]);
        assert_eq!(apply_underscores(&mut without, Underscores::Reject), Ok(()));
    }
}
