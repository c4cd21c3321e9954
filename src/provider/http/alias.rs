//! Aliases: which of a service's configurations is in force.

use std::fmt::Write;
use std::sync::Arc;

/// Where the alias stands in an endpoint.
const PLACEHOLDER: &str = "{alias}";

/// What a store's alias key says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Alias {
    /// Nothing was read yet.
    #[default]
    Unknown,
    /// The key is missing or empty, or cannot be read, with the reason. What is in force stays.
    Missing(Arc<str>),
    /// This configuration is in force. The same value written again has it fetched again.
    Value(Arc<str>),
}

/// The URL of what an alias stands for. The alias may have several segments; each is encoded.
pub(super) fn endpoint(endpoint: &str, alias: &str) -> Result<String, String> {
    let segments: Vec<&str> = alias.trim().trim_matches('/').split('/').collect();
    if segments
        .iter()
        .any(|segment| matches!(*segment, "" | "." | ".."))
    {
        return Err(format!(
            "providers.http.alias: the alias is {alias:?} where names separated by slashes are expected, none of them \
             empty, \".\" or \"..\""
        ));
    }
    let segments: Vec<String> = segments.into_iter().map(encode).collect();
    let alias = segments.join("/");
    Ok(if endpoint.contains(PLACEHOLDER) {
        endpoint.replace(PLACEHOLDER, &alias)
    } else {
        // Before a query, if there is one.
        let (path, query) = match endpoint.find('?') {
            Some(at) => endpoint.split_at(at),
            None => (endpoint, ""),
        };
        format!("{}/{alias}{query}", path.trim_end_matches('/'))
    })
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_a_path_below_the_endpoint_or_where_it_is_wanted() {
        let url = |text, alias| endpoint(text, alias).unwrap();
        assert_eq!(url("http://a", "v1"), "http://a/v1");
        assert_eq!(url("http://a/b/", "/traefik/17/"), "http://a/b/traefik/17");
        assert_eq!(url("http://a/b?x=1", "v1"), "http://a/b/v1?x=1");
        assert_eq!(
            url("http://a/{alias}/rules?of={alias}", "v1"),
            "http://a/v1/rules?of=v1"
        );
    }

    #[test]
    fn segments_are_encoded_and_cannot_climb() {
        assert_eq!(
            endpoint("http://a", "x y/é?#%2e").unwrap(),
            "http://a/x%20y/%C3%A9%3F%23%252e"
        );
        for alias in ["..", "a/../b", "a//b", "", "/", "."] {
            assert!(endpoint("http://a", alias).is_err(), "{alias}");
        }
    }
}
