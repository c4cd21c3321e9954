//! Which entry point, router, middlewares, service and servers a request gets, and why not others.
//!
//! The request goes through the same steps as on a shard (normal form of host, path and query, then the routing
//! index), against a published configuration, running or offline. Every candidate's rule is evaluated clause by
//! clause, so this is for people and far too slow for traffic.
//!
//! NOT here: what middlewares would answer, and which server's turn it is.

mod print;
mod question;

use std::sync::Arc;

use serde::Serialize;

use super::status::{ObjectStatus, Published, Status};
use crate::config::dynamic::{Kind, Object};
use crate::config::statics::{EntryPoint, Protocol, StaticConfig};
use crate::http::Semicolons;
use crate::router::snapshot::{Route, ServiceSlot, Snapshot};
use crate::router::{Route as Entry, RouteTable};
use crate::rules::{self, Clause, RegexCaches, Rule, Syntax};
use crate::service::ServiceKind;

pub use question::{Question, QuestionError};

/// Most routers that are told beside the chosen one.
pub const MAX_OTHERS: usize = 20;

/// Most candidates that are looked at; more share a request's host and path only in a configuration that no one reads.
pub const MAX_CANDIDATES: usize = 10_000;

/// What explaining needs to know of an entry point that takes TCP connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPointFacts {
    /// Its name.
    pub name: Arc<str>,
    /// Its port.
    pub port: u16,
    /// Whether routers that name no entry point are on it.
    pub is_default: bool,
    /// Whether `.`, `..` and `//` are removed from paths.
    pub sanitize_path: bool,
    /// What `;` in a query means.
    pub semicolons: Semicolons,
}

impl EntryPointFacts {
    /// Every entry point that takes TCP connections, by name: the order of
    /// [`Snapshot::entry_points`](crate::router::snapshot::Snapshot::entry_points).
    pub fn all(config: &StaticConfig) -> Box<[Self]> {
        let points = config.entry_points.iter();
        let takes_tcp = |point: &EntryPoint| point.address.protocol() == Protocol::Tcp;
        let has_marked = points.clone().any(|(_, point)| point.as_default);
        points
            .filter(|(_, point)| takes_tcp(point))
            .map(|(name, point)| Self {
                name: Arc::from(&**name),
                port: point.address.port(),
                is_default: if has_marked {
                    point.as_default
                } else {
                    &**name != "traefik"
                },
                sanitize_path: point.http.sanitize_path,
                semicolons: if point.http.encode_query_semicolons {
                    Semicolons::Encode
                } else {
                    Semicolons::Separate
                },
            })
            .collect()
    }
}

/// What happens to a request, and why. `Display` prints it for terminals.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The generation that was asked.
    pub generation: u64,
    /// Where the request arrives.
    pub entry_point: Arc<str>,
    /// Why there.
    pub entry_point_reason: &'static str,
    /// Whether the connection is a TLS one; routers with `tls` see no others, and no others see these.
    pub tls: bool,
    /// The request as rules see it.
    pub request: SeenRequest,
    /// The router that gets it; `None`: the answer is 404, or what `refused` says.
    pub router: Option<Chosen>,
    /// Why the request is refused before or after it is routed, if it is.
    pub refused: Option<String>,
    /// Routers that do not get it: those that match too first, then those that nearly match.
    pub others: Vec<Other>,
    /// How many routers besides those in `others` were candidates.
    pub others_left_out: usize,
}

/// A request as rules see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// The host, lower-cased and without port.
    pub host: String,
    /// The routing path.
    pub path: String,
    /// The query, if there is one.
    pub query: Option<String>,
    /// The client's address.
    pub client: std::net::IpAddr,
}

/// The router that gets the request, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// Its qualified name.
    pub name: Arc<str>,
    /// Its effective priority.
    pub priority: i64,
    /// Its rule, clause by clause.
    pub rule: SeenClause,
    /// Middlewares in the order in which the request meets them, chains flattened.
    pub middlewares: Vec<SeenMiddleware>,
    /// Where the request goes in the end.
    pub service: SeenService,
}

/// A clause of a rule and its result for the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenClause {
    /// The clause as written.
    pub text: String,
    /// Whether the request fulfils it.
    pub matched: bool,
    /// Whether the rule's result follows from this clause.
    pub decides: bool,
    /// Parts of a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<SeenClause>,
}

/// A middleware in a request's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenMiddleware {
    /// Its qualified name.
    pub name: Arc<str>,
    /// Its type as the configuration writes it.
    #[serde(rename = "type")]
    pub type_name: &'static str,
}

/// A request's service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenService {
    /// Its qualified name.
    pub name: Arc<str>,
    /// Its type as the configuration writes it; `internal` for the program's own.
    #[serde(rename = "type")]
    pub type_name: &'static str,
    /// How a server is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<&'static str>,
    /// Its servers; none means 503.
    pub servers: Vec<SeenServer>,
}

/// A server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenServer {
    /// Its URL as configured.
    pub url: Arc<str>,
    /// Its share.
    pub weight: u32,
}

/// A router that does not get the request.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Other {
    /// Its qualified name.
    pub name: Arc<str>,
    /// Its effective priority.
    pub priority: i64,
    /// Why it does not get it.
    pub reason: Reason,
    /// What that means in words.
    pub text: String,
    /// Its rule, clause by clause.
    pub rule: SeenClause,
}

/// Why a router does not get a request. Sorted by how near it comes to getting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// It matches and comes after the chosen one.
    Later,
    /// It matches and is disabled.
    Disabled,
    /// It matches and takes only TLS, or only plain connections.
    OtherTransport,
    /// Host and path may match, the rule does not.
    NoMatch,
}

/// Explains what a request gets in `published`. `entry_points` are those of the planner, in its order.
///
/// # Errors
/// The question cannot be understood.
pub fn explain(
    published: &Published,
    entry_points: &[EntryPointFacts],
    question: &Question<'_>,
) -> Result<Explained, QuestionError> {
    let asked = question::Asked::new(question, entry_points)?;
    let mut engine = Engine {
        published,
        asked: &asked,
        caches: RegexCaches::new(),
        others: Vec::new(),
        left_out: 0,
    };
    let chosen = engine.choose();
    let router = chosen.map(|entry| engine.chosen(&entry));
    let encoded = router.as_ref().and_then(|_| engine.refusal());
    engine.others.sort_by_key(|other| other.reason);
    let too_many = engine.others.len().saturating_sub(MAX_OTHERS);
    engine.others.truncate(MAX_OTHERS);
    Ok(Explained {
        generation: published.generation,
        entry_point: Arc::clone(&asked.entry_point.name),
        entry_point_reason: asked.reason,
        tls: asked.tls,
        request: asked.seen(),
        refused: asked.refused.clone().or(encoded),
        router,
        others: engine.others,
        others_left_out: engine.left_out + too_many,
    })
}

struct Engine<'a> {
    published: &'a Published,
    asked: &'a question::Asked<'a>,
    caches: RegexCaches,
    others: Vec<Other>,
    left_out: usize,
}

impl<'a> Engine<'a> {
    /// The route that gets the request; the others are noted.
    fn choose(&mut self) -> Option<Arc<Entry<Arc<Route>>>> {
        let snapshot: &'a Snapshot = &self.published.snapshot;
        let routes = snapshot.entry_points.get(self.asked.place)?;
        let (own, other): (&RouteTable<_>, &RouteTable<_>) = if self.asked.tls {
            (&routes.https, &routes.http)
        } else {
            (&routes.http, &routes.https)
        };
        let mut chosen: Option<Arc<Entry<Arc<Route>>>> = None;
        for (count, entry) in own.candidates(self.asked).enumerate() {
            if count >= MAX_CANDIDATES {
                self.left_out += 1;
                continue;
            }
            let clause = self.evaluate(&entry.rule);
            match &chosen {
                None if clause.matched => chosen = Some(Arc::clone(entry)),
                Some(first) if clause.matched => {
                    let text = why_later(&first.order, &entry.order);
                    self.note(&entry.value, Reason::Later, text, clause);
                }
                _ => self.note_mismatch(&entry.value, clause),
            }
        }
        for entry in other.candidates(self.asked).take(MAX_CANDIDATES) {
            let clause = self.evaluate(&entry.rule);
            if clause.matched {
                let text = if self.asked.tls {
                    "matches, but has no tls: it takes plain connections only"
                } else {
                    "matches, but has tls: it takes TLS connections only"
                };
                self.note(
                    &entry.value,
                    Reason::OtherTransport,
                    text.to_owned(),
                    clause,
                );
            }
        }
        self.note_disabled();
        chosen
    }

    fn evaluate(&mut self, rule: &Rule) -> SeenClause {
        let explanation = rule.explain(self.asked, &mut self.caches);
        SeenClause::from(explanation.root)
    }

    fn note(&mut self, route: &Route, reason: Reason, text: String, rule: SeenClause) {
        self.others.push(Other {
            name: Arc::clone(&route.name),
            priority: route.priority,
            reason,
            text,
            rule,
        });
    }

    fn note_mismatch(&mut self, route: &Route, clause: SeenClause) {
        // Those that match are worth more; keep these few.
        if self.others.len() >= 2 * MAX_OTHERS {
            self.left_out += 1;
            return;
        }
        let mut deciding = Vec::new();
        clause.deciding(&mut deciding);
        let text = format!("does not match: {}", deciding.join(", "));
        self.note(route, Reason::NoMatch, text, clause);
    }

    /// Disabled routers are in no table: their rules are compiled here.
    fn note_disabled(&mut self) {
        let published = self.published;
        for object in published.objects_of(Kind::HttpRouter) {
            if object.status != Status::Disabled || self.others.len() >= 2 * MAX_OTHERS {
                continue;
            }
            let Some((rule, priority)) = self.disabled_rule(object) else {
                continue;
            };
            let clause = self.evaluate(&rule);
            if clause.matched {
                self.others.push(Other {
                    name: Arc::clone(&object.name),
                    priority,
                    reason: Reason::Disabled,
                    text: format!("matches, but is disabled: {}", object.errors.join("; ")),
                    rule: clause,
                });
            }
        }
    }

    /// The rule of a disabled router that would be on this entry point, if it compiles.
    fn disabled_rule(&self, object: &ObjectStatus) -> Option<(Rule, i64)> {
        let (Some(Object::HttpRouter(config)), Some(router)) = (&object.object, &object.router)
        else {
            return None;
        };
        let entry_point = &self.asked.entry_point.name;
        if !router.entry_points.names.contains(entry_point) {
            return None;
        }
        let syntax = Syntax::from_name(&config.rule_syntax).unwrap_or_default();
        let rule = rules::parse(&config.rule, syntax).ok()?;
        Some((rule, router.priority))
    }

    fn chosen(&mut self, entry: &Entry<Arc<Route>>) -> Chosen {
        let snapshot: &Snapshot = &self.published.snapshot;
        let route = &entry.value;
        let slots = route.middlewares.iter();
        let middlewares = slots.filter_map(|slot| {
            let named = snapshot.middleware(*slot)?;
            Some(SeenMiddleware {
                name: Arc::clone(&named.name),
                type_name: self.middleware_type(&named.name),
            })
        });
        Chosen {
            name: Arc::clone(&route.name),
            priority: route.priority,
            middlewares: middlewares.collect(),
            service: seen_service(snapshot, route.service),
            rule: self.evaluate(&entry.rule),
        }
    }

    fn middleware_type(&self, name: &str) -> &'static str {
        let object = self.published.object(Kind::HttpMiddleware, name);
        match object.and_then(|object| object.object.as_ref()) {
            Some(Object::HttpMiddleware(config)) => config.type_name(),
            _ => "",
        }
    }

    /// Why the chosen router refuses the request, if it does.
    fn refusal(&mut self) -> Option<String> {
        let snapshot: &Snapshot = &self.published.snapshot;
        let routes = snapshot.entry_points.get(self.asked.place)?;
        let table = if self.asked.tls {
            &routes.https
        } else {
            &routes.http
        };
        let route = table.lookup(self.asked, &mut self.caches)?;
        let denied = route.encoded_characters.as_ref()?;
        (!denied.allows(self.asked.head.path())).then(|| {
            "400: the path has an encoded character that the entry point refuses".to_owned()
        })
    }
}

fn why_later(first: &crate::router::RouteOrder, second: &crate::router::RouteOrder) -> String {
    let lost = if first.priority != second.priority {
        format!(
            "its priority {} is lower than {}",
            second.priority, first.priority
        )
    } else if first.provider_rank != second.provider_rank {
        "its priority is equal and its provider comes later in providers.precedence".to_owned()
    } else {
        "its priority is equal and its name comes later".to_owned()
    };
    format!("matches too, but {lost}")
}

fn seen_service(snapshot: &Snapshot, slot: ServiceSlot) -> SeenService {
    let service = snapshot.service(slot);
    let name = service.map_or_else(|| "".into(), |service| Arc::clone(&service.name));
    match service.map(|service| &service.kind) {
        Some(ServiceKind::LoadBalancer(balancer)) => SeenService {
            name,
            type_name: "loadBalancer",
            strategy: Some(match balancer.strategy {
                crate::service::Strategy::Wrr => "wrr",
                crate::service::Strategy::P2c => "p2c",
            }),
            servers: balancer
                .servers
                .iter()
                .map(|server| SeenServer {
                    url: Arc::clone(&server.url),
                    weight: server.weight,
                })
                .collect(),
        },
        Some(ServiceKind::Internal(_)) | None => SeenService {
            name,
            type_name: "internal",
            strategy: None,
            servers: Vec::new(),
        },
    }
}

impl From<Clause> for SeenClause {
    fn from(clause: Clause) -> Self {
        Self {
            text: clause.text,
            matched: clause.matched,
            decides: clause.decides,
            members: clause.members.into_iter().map(Self::from).collect(),
        }
    }
}

impl SeenClause {
    /// The texts of the clauses that decided.
    fn deciding<'a>(&'a self, found: &mut Vec<&'a str>) {
        if self.decides {
            found.push(&self.text);
        }
        self.members
            .iter()
            .for_each(|member| member.deciding(found));
    }
}

#[cfg(test)]
mod tests;
