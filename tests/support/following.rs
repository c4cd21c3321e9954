//! A proxy that follows an etcd: its start, routes as keys, and what it says about itself.

use serde_json::Value;

use super::etcd::Etcd;
use super::process::{Process, Setup, setup, wait_for};
use super::routes;

/// A proxy that takes everything from these members; `more` are further options of the provider.
pub fn follower(endpoints: &[String], more: &str) -> Setup {
    setup(&format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}, traefik: {{address: \"127.0.0.1:0\"}}}}\n\
         providers: {{etcd: {{endpoints: {endpoints:?}{more}}}}}\n\
         api: {{insecure: true}}\n"
    ))
}

/// The same with one member.
pub fn proxy(etcd: &Etcd, more: &str) -> Setup {
    follower(&[etcd.endpoint()], more)
}

/// A router by host and its service with one server.
pub fn route(name: &str, url: &str) -> Vec<(String, String)> {
    tree("traefik", name, url)
}

/// The same below a prefix of its own.
pub fn tree(prefix: &str, name: &str, url: &str) -> Vec<(String, String)> {
    routes::route(prefix, name, &format!("{name}.test"), url)
}

/// Writes pairs in one transaction.
pub fn put(etcd: &Etcd, pairs: &[(String, String)]) {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (&**key, Some(&**value)))
        .collect();
    etcd.transaction(&pairs);
}

fn api(proxy: &Process, path: &str) -> Value {
    let text = proxy.get_from("traefik", "x", path).text();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The number of the newest generation.
pub fn generation(proxy: &Process) -> u64 {
    let json = api(proxy, "/api/ringway/generation");
    json["generation"]
        .as_u64()
        .unwrap_or_else(|| panic!("{json}"))
}

/// How the provider `etcd` stands.
pub fn provider(proxy: &Process) -> Value {
    let json = api(proxy, "/api/ringway/providers");
    let all = json.as_array().into_iter().flatten();
    all.into_iter()
        .find(|provider| provider["name"] == "etcd")
        .unwrap_or_else(|| panic!("{json}"))
        .clone()
}

/// Waits until the provider's error has all these words, and returns it.
pub fn complains(proxy: &Process, words: &[&str]) -> String {
    let mut error = String::new();
    wait_for(&format!("an error with {words:?}"), || {
        error = provider(proxy)["lastError"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        words.iter().all(|word| error.contains(word))
    });
    error
}

/// Waits until the provider has no error.
pub fn is_well(proxy: &Process) {
    wait_for("the provider is well", || {
        let provider = provider(proxy);
        provider["lastError"].is_null() && provider["stale"] == false
    });
}
