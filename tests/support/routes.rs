//! Routes by host as keys of a store, and what the binary makes of them.

use super::process::{Process, wait_for};

/// The keys of a router `name` by host, and of its service with one server.
pub fn route(root: &str, name: &str, host: &str, url: &str) -> Vec<(String, String)> {
    [
        (
            format!("http/routers/{name}/rule"),
            format!("Host(`{host}`)"),
        ),
        (format!("http/routers/{name}/service"), name.to_owned()),
        (
            format!("http/services/{name}/loadbalancer/servers/0/url"),
            url.to_owned(),
        ),
    ]
    .map(|(key, value)| (format!("{root}/{key}"), value))
    .into()
}

pub fn serves(proxy: &Process, host: &str, body: &str) {
    wait_for(&format!("{host} serves {body:?}"), || {
        proxy.get(host, "/").text() == body
    });
}

pub fn is_gone(proxy: &Process, host: &str) {
    wait_for(&format!("{host} is gone"), || {
        proxy.get(host, "/").status == 404
    });
}
