//! Aliases: which of a service's configurations is in force.

use std::fmt::Write;
use std::sync::Arc;

use tokio::sync::watch;

use super::{AliasSource, NAME};
use crate::provider::kv::alias::{AliasEvent, values};
use crate::provider::kv::store::Store;

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

/// Tells of the values of a key in a store that `store` makes: on the provider's thread, for stores belong to one.
pub fn in_store<S: Store + 'static>(
    store: impl FnOnce() -> S + Send + 'static,
    key: impl Into<String>,
) -> AliasSource {
    let key = key.into();
    Box::new(move |aliases| Box::pin(tell(store(), key, aliases)))
}

async fn tell(store: impl Store, key: String, aliases: watch::Sender<Alias>) {
    let mut values = values(store, &key);
    loop {
        match values.next().await {
            AliasEvent::Written { value, .. } => {
                let value = value.filter(|value| !value.is_empty());
                // The same value written again is news.
                aliases.send_replace(match value {
                    Some(value) => Alias::Value(value.into()),
                    None => {
                        let reason = format!(
                            "providers.http.alias: the key {key:?} is missing or empty: write the alias in force to it"
                        );
                        Alias::Missing(reason.into())
                    }
                });
            }
            AliasEvent::Lost(reason) => tracing::warn!(
                providerName = NAME,
                "providers.http.alias: {reason}; the last alias stays in force"
            ),
            AliasEvent::Found => tracing::info!(
                providerName = NAME,
                "providers.http.alias: the store answers again"
            ),
        }
    }
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
