//! Names across providers: `name@provider`.

use std::borrow::Cow;

/// The provider of objects that the program itself declares.
pub(super) const INTERNAL: &str = "internal";

/// What a reference means: a name without a provider is one of the referrer's provider.
pub(super) fn qualify<'a>(reference: &'a str, provider: &str) -> Cow<'a, str> {
    if reference.contains('@') {
        return Cow::Borrowed(reference);
    }
    Cow::Owned(format!("{reference}@{provider}"))
}

/// The provider in a qualified name; empty if it has none.
pub(super) fn provider_of(name: &str) -> &str {
    name.rsplit_once('@').map_or("", |(_, provider)| provider)
}
