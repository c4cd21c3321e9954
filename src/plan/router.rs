//! A router's configuration becomes routes: its own text, its entry points, their models, its references.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::dynamic::{HttpModel, HttpRouter, Kind, Object};
use crate::http::encoded::EncodedCharacters;
use crate::router::RouteOrder;
use crate::router::snapshot::{Destination, Route};
use crate::rules::{self, Rule, Syntax};

use super::graph::{Graph, NodeId};
use super::input::Compiled;
use super::item::{Instance, Issues, Item, Outcome};
use super::names::{INTERNAL, provider_of, qualify};
use super::settings::EntryPoints;
use super::status::{
    Detail, EntryPointSet, ObjectStatus, RouterStatus, Status, middleware_names, observability,
};
use super::{middleware, service_link};

/// Highest priority of a router that the program did not make itself (Traefik: same, MaxInt - 1000).
pub const MAX_USER_PRIORITY: i64 = i64::MAX - 1000;

/// A router whose own text is good.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) config: Arc<HttpRouter>,
    pub(super) rule: Rule,
    pub(super) syntax: Syntax,
    priority: i64,
}

/// A router under one name, before its references are resolved.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) name: Arc<str>,
    pub(super) entry_points: Arc<EntryPointSet>,
    pub(super) model: Option<Arc<HttpModel>>,
    /// Whether the name is not the router's own.
    pub(super) is_generated: bool,
}

/// Compiles a router's own text. `known` is a rule that it had before and its syntax, for reuse.
pub(super) fn compile(
    name: &str,
    config: &Arc<HttpRouter>,
    syntax: Syntax,
    known: Option<(&Rule, Syntax)>,
) -> Result<Compiled<Draft>, Vec<Box<str>>> {
    let mut errors: Vec<Box<str>> = Vec::new();
    if config.priority > MAX_USER_PRIORITY && provider_of(name) != INTERNAL {
        let found = config.priority;
        errors.push(format!("the router priority {found} exceeds the max user-defined priority {MAX_USER_PRIORITY}").into());
    }
    if !config.parent_refs.is_empty() {
        errors.push("not supported yet: parentRefs".into());
    } else if config.service.is_empty() {
        errors.push("the service is missing on the router".into());
    }
    let known = known
        .filter(|(rule, known_syntax)| *known_syntax == syntax && rule.source() == &*config.rule);
    let rule = match known {
        Some((rule, _)) => Ok(rule.clone()),
        None => rules::parse(&config.rule, syntax),
    };
    match rule {
        Ok(rule) if errors.is_empty() => Ok(Compiled {
            value: Draft {
                config: Arc::clone(config),
                syntax,
                priority: match config.priority {
                    0 => rule.default_priority(),
                    priority => priority,
                },
                rule,
            },
            warnings: Vec::new(),
        }),
        Ok(_) => Err(errors),
        Err(error) => {
            errors.push(format!("rule: {error}").into());
            Err(errors)
        }
    }
}

/// The syntax of a router's rule: its own word, else its entry points', else the configured default.
pub(super) fn syntax(
    config: &HttpRouter,
    entry_points: &EntryPoints,
    graph: &Graph<Item>,
) -> Syntax {
    if config.default_rule {
        return Syntax::V3;
    }
    let own = &*config.rule_syntax;
    let inherited = || {
        let set = entry_points.of(config);
        let models = set
            .places()
            .map(|place| model(graph, entry_points.model_node(place)));
        let mut syntaxes = models.flatten().map(|model| &*model.default_rule_syntax);
        syntaxes.find(|syntax| !syntax.is_empty()).map(parse_syntax)
    };
    match own {
        "" => inherited().unwrap_or(entry_points.default_syntax),
        own => parse_syntax(own),
    }
}

/// Any word but `v2` means v3 (Traefik: same).
fn parse_syntax(word: &str) -> Syntax {
    if word == "v2" { Syntax::V2 } else { Syntax::V3 }
}

fn model(graph: &Graph<Item>, node: NodeId) -> Option<&Arc<HttpModel>> {
    match &graph.data(node).outcome {
        Outcome::Model(model) => Some(model),
        _ => None,
    }
}

/// Splits a router by its entry points' models (Traefik: `applyModel`). An entry point with a model gets
/// its own instance, `<entry point>-<name>` unless it is the only one; the others share one.
pub(super) fn split(
    name: &Arc<str>,
    config: &HttpRouter,
    entry_points: &EntryPoints,
    graph: &Graph<Item>,
) -> Vec<Split> {
    let set = entry_points.of(config);
    let has_model = set
        .places()
        .any(|place| model(graph, entry_points.model_node(place)).is_some());
    if !has_model {
        return vec![Split {
            name: Arc::clone(name),
            entry_points: set,
            model: None,
            is_generated: false,
        }];
    }
    let mut splits = Vec::new();
    let mut plain = Vec::new();
    for entry_point in &set.names {
        let place = entry_points.place(entry_point);
        let found =
            place.and_then(|place| Some((place, model(graph, entry_points.model_node(place))?)));
        let Some((place, model)) = found else {
            plain.push(Arc::clone(entry_point));
            continue;
        };
        let is_generated = set.names.len() > 1;
        splits.push(Split {
            name: if is_generated {
                format!("{entry_point}-{name}").into()
            } else {
                Arc::clone(name)
            },
            entry_points: entry_points.single(place),
            model: Some(Arc::clone(model)),
            is_generated,
        });
    }
    if !plain.is_empty() {
        splits.push(Split {
            name: Arc::clone(name),
            entry_points: entry_points.set(plain),
            model: None,
            is_generated: false,
        });
    }
    splits
}

/// Names of what a router under this name refers to: its service, then its middlewares.
pub(super) fn references<'a>(
    config: &'a HttpRouter,
    model: Option<&'a HttpModel>,
    provider: &'a str,
) -> impl Iterator<Item = (Kind, Cow<'a, str>)> {
    let service = (!config.service.is_empty()).then_some((Kind::HttpService, &*config.service));
    let middlewares = middleware_names(config, model).map(|name| (Kind::HttpMiddleware, name));
    let references = service.into_iter().chain(middlewares);
    references.map(move |(kind, name)| (kind, qualify(name, provider)))
}

/// What of the settings a route depends on.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    /// Providers' places in the order of routers.
    pub(super) precedence: &'a BTreeMap<Arc<str>, u16>,
    pub(super) log_internals: bool,
}

impl Context<'_> {
    fn rank(self, provider: &str) -> u16 {
        self.precedence.get(provider).copied().unwrap_or(u16::MAX)
    }
}

/// Resolves an instance's references and builds its route. `before` is the instance's route so far; an
/// equal one is kept.
pub(super) fn resolve(
    draft: &Draft,
    split: &Split,
    issues: &Issues,
    context: Context<'_>,
    graph: &Graph<Item>,
    before: Option<&Instance>,
) -> Instance {
    let provider = provider_of(&split.name);
    let model = split.model.as_deref();
    let mut errors: Vec<Box<str>> = Vec::new();
    let missing = split
        .entry_points
        .names
        .iter()
        .filter(|name| !split.entry_points.using.contains(name));
    errors.extend(missing.map(|name| format!("entryPoint \"{name}\" doesn't exist").into()));
    let mut is_disabled = split.entry_points.using.is_empty();
    if is_disabled {
        errors.push("no valid entryPoint for this router".into());
    }
    let mut service = None;
    let mut middlewares = Vec::new();
    let mut has_around = false;
    let mut resolved = true;
    for (kind, name) in references(&draft.config, model, provider) {
        let node = graph
            .find(kind, &name)
            .expect("references are interned before they are resolved");
        let result = match kind {
            Kind::HttpService => service_link(graph, node).map(|slot| service = Some((slot, name))),
            _ => middleware::links(graph, node).map(|links| {
                has_around |= links.iter().any(|link| link.is_around);
                middlewares.extend(links.iter().map(|link| link.slot));
            }),
        };
        if let Err(error) = result {
            resolved = false;
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
    }
    is_disabled |= !resolved;
    let route = service
        .filter(|_| !is_disabled)
        .map(|(slot, service_name)| Route {
            order: RouteOrder {
                priority: draft.priority,
                provider_rank: context.rank(provider),
                name: Arc::clone(&split.name),
            },
            rule: draft.rule.clone(),
            value: Destination {
                middlewares: middlewares.into(),
                has_around,
                service: slot,
                encoded_characters: encoded_characters(&draft.config, model),
                access_log: observability(&draft.config, model).access_logs != Some(false)
                    && (context.log_internals || provider_of(&service_name) != INTERNAL),
            },
        });
    let is_tls = draft.config.tls.is_some() || model.is_some_and(|model| model.tls.is_some());
    errors.extend(issues.texts().cloned());
    let status = ObjectStatus {
        kind: Kind::HttpRouter,
        name: Arc::clone(&split.name),
        object: Some(Object::HttpRouter(Arc::clone(&draft.config))),
        status: match route {
            None => Status::Disabled,
            Some(_) if errors.is_empty() => Status::Enabled,
            Some(_) => Status::Warning,
        },
        errors: errors.into(),
        detail: detail(split),
    };
    Instance {
        status: match before {
            Some(before) if *before.status == status => Arc::clone(&before.status),
            _ => Arc::new(status),
        },
        route: route.map(
            |route| match before.and_then(|before| before.route.as_ref()) {
                Some(before) if is_same(before, &route) => Arc::clone(before),
                _ => Arc::new(route),
            },
        ),
        is_tls,
        syntax: draft.syntax,
    }
}

/// The instance of a router whose own text is bad and that never was good.
pub(super) fn disabled(split: &Split, object: Option<&Object>, issues: &Issues) -> Instance {
    let status = ObjectStatus {
        kind: Kind::HttpRouter,
        name: Arc::clone(&split.name),
        object: object.cloned(),
        status: Status::Disabled,
        errors: issues.texts().cloned().collect(),
        detail: detail(split),
    };
    Instance {
        status: Arc::new(status),
        route: None,
        is_tls: false,
        syntax: Syntax::default(),
    }
}

fn detail(split: &Split) -> Detail {
    Detail::Router(RouterStatus {
        entry_points: Arc::clone(&split.entry_points),
        model: split.model.clone(),
    })
}

fn is_same(a: &Route, b: &Route) -> bool {
    a.rule.is_same(&b.rule) && a.order == b.order && a.value == b.value
}

/// The entry point's refusals replace the router's (Traefik: same).
fn encoded_characters(config: &HttpRouter, model: Option<&HttpModel>) -> Option<EncodedCharacters> {
    let inherited = model.and_then(|model| model.denied_encoded_path_characters.as_deref());
    let configured = inherited.or(config.denied_encoded_path_characters.as_deref())?;
    let characters = EncodedCharacters {
        slash: configured.allow_encoded_slash,
        back_slash: configured.allow_encoded_back_slash,
        null_character: configured.allow_encoded_null_character,
        semicolon: configured.allow_encoded_semicolon,
        percent: configured.allow_encoded_percent,
        question_mark: configured.allow_encoded_question_mark,
        hash: configured.allow_encoded_hash,
    };
    (characters != EncodedCharacters::ALL).then_some(characters)
}
