//! A change disturbs nothing: whatever is configured anew beside it, an object that did not change keeps its
//! state. `docs/state.md` says what belongs to what.
//!
//! ```text
//! ITEMS:   what is kept     prepare: configure, bring it about ──► verify after each change, and at the end
//! CHANGES: what is edited   100 times each, while all items are in use
//! ```
//!
//! A new kind of state (health, sticky sessions, rate limits …) is one more entry of [`ITEMS`] in
//! `state/items.rs`; a new way of
//! changing the configuration one more of [`CHANGES`] and a test of its name.

#[path = "state/items.rs"]
mod items;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use items::{ITEMS, named};
use support::origin::Origin;
use support::proxy::{Proxy, builder};

/// How often each change is made.
const ROUNDS: usize = 100;

/// State that must survive.
struct Item {
    name: &'static str,
    /// Adds what it needs to the configuration.
    prepare: fn(&mut Configuration) -> Start,
}

/// Brings the state about, once the configuration is in force.
type Start = Box<dyn FnOnce(&Proxy) -> Verify>;

/// Uses the state and checks that it is intact.
type Verify = Box<dyn FnMut(Moment)>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    AfterChange,
    /// Nothing changes any more: what is still running is brought to its end.
    AtEnd,
}

/// A change that touches no item's own objects, or of them only what is said.
struct Change {
    name: &'static str,
    /// Makes the change for the nth time.
    make: fn(&mut Configuration, usize),
}

const CHANGES: &[Change] = &[
    Change {
        name: "another router",
        make: |config, n| {
            config.routers.remove("other");
            if n.is_multiple_of(2) {
                let rule = format!("{{rule: 'Host(`other{n}`)', service: other}}");
                config.routers.insert("other".into(), rule);
            }
        },
    },
    Change {
        name: "another service",
        make: |config, n| {
            let other = config.service("other");
            other.servers = vec![(format!("http://127.0.0.1:{}", 1 + (n + 1) % 7), 1)];
        },
    },
    Change {
        name: "another service with the same servers",
        make: |config, n| {
            config.services.remove("twin");
            if n.is_multiple_of(2) {
                let all = config.own_services();
                let servers = all.flat_map(|(_, service)| service.servers.clone());
                let servers = servers.collect();
                config.service("twin").servers = servers;
            }
        },
    },
    Change {
        name: "a middleware on another route",
        make: |config, n| {
            let text = format!("{{addPrefix: {{prefix: /{n}}}}}");
            config.middlewares.insert("other".into(), text);
            let router = "{rule: 'Host(`other`)', service: other, middlewares: [other]}".to_owned();
            config.routers.insert("other".into(), router);
        },
    },
    Change {
        name: "another transport",
        make: |config, n| {
            let text = format!("{{maxIdleConnsPerHost: {}}}", 1 + n % 5);
            config.transports.insert("other".into(), text);
            let other = config.service("other");
            let option = ("serversTransport".into(), "other".into());
            other.options.extend([option]);
        },
    },
    Change {
        name: "a sibling server added and removed",
        make: |config, n| {
            let sibling = config.sibling();
            config.each_service(|service| {
                service.servers.retain(|(url, _)| *url != sibling);
                if n.is_multiple_of(2) {
                    service.servers.insert(0, (sibling.clone(), 1));
                }
            });
        },
    },
    Change {
        name: "servers reordered",
        make: |config, _| config.each_service(|service| service.servers.rotate_left(1)),
    },
    Change {
        name: "a sibling server reweighted",
        make: |config, n| {
            let sibling = config.sibling();
            let weight = 1 + (n % 4) as u32;
            config.each_service(|service| {
                service.servers.retain(|(url, _)| *url != sibling);
                service.servers.push((sibling.clone(), weight));
            });
        },
    },
    Change {
        name: "another field of the service",
        make: |config, n| {
            config.each_service(|service| {
                let value = (!n.is_multiple_of(2)).to_string();
                service.options.insert("passHostHeader".into(), value);
            });
        },
    },
    Change {
        name: "another field of the router",
        make: |config, n| config.priority = 101 + n,
    },
];

/// A dynamic configuration that is easy to edit.
struct Configuration {
    routers: BTreeMap<String, String>,
    services: BTreeMap<String, Service>,
    middlewares: BTreeMap<String, String>,
    transports: BTreeMap<String, String>,
    /// Of the items' routers.
    priority: usize,
    sibling: Arc<Origin>,
}

#[derive(Default)]
struct Service {
    servers: Vec<(String, u32)>,
    options: BTreeMap<String, String>,
}

impl Configuration {
    fn new() -> Self {
        let mut config = Self {
            routers: BTreeMap::new(),
            services: BTreeMap::new(),
            middlewares: BTreeMap::new(),
            transports: BTreeMap::new(),
            priority: 100,
            sibling: Arc::new(named("sibling")),
        };
        config.service("other").servers = vec![("http://127.0.0.1:1".into(), 1)];
        config
    }

    fn service(&mut self, name: &str) -> &mut Service {
        self.services.entry(name.to_owned()).or_default()
    }

    fn sibling(&self) -> String {
        self.sibling.url()
    }

    /// An item's route: `Host(name)` to a service of its own.
    fn route(&mut self, name: &str, middlewares: &str, servers: &[(&Origin, u32)]) -> &mut Service {
        self.routers.insert(
            name.to_owned(),
            format!(
                "{{rule: 'Host(`{name}`)', service: {name}, middlewares: [{middlewares}], priority: PRIORITY}}"
            ),
        );
        let servers = servers
            .iter()
            .map(|(origin, weight)| (origin.url(), *weight));
        let servers = servers.collect();
        let service = self.service(name);
        service.servers = servers;
        service
    }

    /// The items' services.
    fn own_services(&self) -> impl Iterator<Item = (&String, &Service)> {
        let services = self.services.iter();
        services.filter(|(name, _)| !matches!(name.as_str(), "other" | "twin"))
    }

    fn each_service(&mut self, mut edit: impl FnMut(&mut Service)) {
        let services = self.services.iter_mut();
        let own = services.filter(|(name, _)| !matches!(name.as_str(), "other" | "twin"));
        own.for_each(|(_, service)| edit(service));
    }

    fn yaml(&self) -> String {
        let mut yaml = "http:\n".to_owned();
        let mut section = |name: &str, objects: &mut dyn Iterator<Item = (&String, String)>| {
            let mut objects = objects.peekable();
            if objects.peek().is_some() {
                let _ = writeln!(yaml, "  {name}:");
            }
            for (name, text) in objects {
                let _ = writeln!(yaml, "    {name}: {text}");
            }
        };
        let priority = self.priority.to_string();
        let plain = |(name, text): (_, &String)| (name, text.replace("PRIORITY", &priority));
        section("routers", &mut self.routers.iter().map(plain));
        section("middlewares", &mut self.middlewares.iter().map(plain));
        section("serversTransports", &mut self.transports.iter().map(plain));
        let services = self.services.iter();
        section(
            "services",
            &mut services.map(|(name, service)| (name, service.yaml())),
        );
        yaml
    }
}

impl Service {
    fn yaml(&self) -> String {
        let servers = self.servers.iter();
        let servers = servers.map(|(url, weight)| format!("{{url: '{url}', weight: {weight}}}"));
        let servers: Vec<_> = servers.collect();
        let options = self.options.iter();
        let options = options.map(|(name, value)| format!(", {name}: {value}"));
        format!(
            "{{loadBalancer: {{servers: [{}]{}}}}}",
            servers.join(", "),
            options.collect::<String>()
        )
    }
}

/// Makes one change again and again while every item is in use.
#[track_caller]
fn survives(name: &str) {
    let change = CHANGES.iter().find(|change| change.name == name);
    let change = change.expect("a change of this name");
    let mut config = Configuration::new();
    let starts: Vec<(&str, Start)> = ITEMS
        .iter()
        .map(|item| (item.name, (item.prepare)(&mut config)))
        .collect();
    let mut proxy = builder().start(&config.yaml());
    let mut items: Vec<(&str, Verify)> = starts
        .into_iter()
        .map(|(item, start)| (item, start(&proxy)))
        .collect();
    for n in 0..ROUNDS {
        (change.make)(&mut config, n);
        let before = proxy.generation();
        proxy.apply(&config.yaml());
        assert!(
            proxy.generation() > before,
            "{name} changed nothing in round {n}"
        );
        for (item, verify) in &mut items {
            step(item, name, n, || verify(Moment::AfterChange));
        }
    }
    for (item, verify) in &mut items {
        step(item, name, ROUNDS, || verify(Moment::AtEnd));
    }
}

/// Says which item did not survive what, if it did not.
fn step(item: &str, change: &str, round: usize, check: impl FnOnce()) {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    if let Err(panic) = result {
        eprintln!("{item:?} did not survive {change:?} (change {round})");
        std::panic::resume_unwind(panic);
    }
}

macro_rules! tests {
    ($($test:ident: $change:literal;)*) => {
        $(#[test]
        fn $test() {
            survives($change);
        })*

        #[test]
        fn every_change_has_a_test() {
            let tested = [$($change),*];
            let changes: Vec<_> = CHANGES.iter().map(|change| change.name).collect();
            assert_eq!(changes, tested);
        }
    };
}

tests! {
    state_survives_another_router: "another router";
    state_survives_another_service: "another service";
    state_survives_another_service_with_the_same_servers: "another service with the same servers";
    state_survives_a_middleware_on_another_route: "a middleware on another route";
    state_survives_another_transport: "another transport";
    state_survives_a_sibling_server_added_and_removed: "a sibling server added and removed";
    state_survives_servers_reordered: "servers reordered";
    state_survives_a_sibling_server_reweighted: "a sibling server reweighted";
    state_survives_another_field_of_the_service: "another field of the service";
    state_survives_another_field_of_the_router: "another field of the router";
}
