//! A middleware's configuration becomes something that shards run; chains become flat lists.

use std::sync::Arc;

use crate::config::dynamic::{HttpMiddleware, Kind};
use crate::middleware::{self, Middleware};

use super::graph::{Graph, NodeId};
use super::input::Compiled;
use super::item::{Item, Link, Outcome};
use super::names::{provider_of, qualify};
use super::settings::ReadFile;

/// Most middlewares and chains that one chain may lead to, however nested.
pub const MAX_CHAIN_STEPS: usize = 1024;

/// A middleware whose own text is good.
#[derive(Debug)]
pub(super) enum Draft {
    /// It does something itself.
    Leaf(DraftLeaf),
    /// Names of others.
    Chain(Box<[Box<str>]>),
}

/// A middleware that does something itself.
#[derive(Debug)]
pub(super) struct DraftLeaf {
    pub(super) middleware: Middleware,
    /// Name of the service that it sends requests to.
    pub(super) service: Option<Box<str>>,
    pub(super) type_name: &'static str,
}

/// Compiles a middleware's own text.
pub(super) fn compile(
    config: &HttpMiddleware,
    read_file: ReadFile,
) -> Result<Compiled<Draft>, Vec<Box<str>>> {
    if let HttpMiddleware::Chain(chain) = config {
        return Ok(Compiled {
            value: Draft::Chain(chain.middlewares.clone()),
            warnings: Vec::new(),
        });
    }
    let middleware = middleware::compile(config, &mut |path| read_file(path))
        .map_err(|error| vec![error.to_string().into()])?;
    let warnings = middleware
        .warnings()
        .into_iter()
        .map(String::into_boxed_str)
        .collect();
    let draft = Draft::Leaf(DraftLeaf {
        middleware,
        service: match config {
            HttpMiddleware::Errors(errors) => Some(errors.service.clone()),
            _ => None,
        },
        type_name: config.type_name(),
    });
    Ok(Compiled {
        value: draft,
        warnings,
    })
}

/// What a reference to a middleware leads to: one link, or a chain's.
pub(super) fn links(graph: &Graph<Item>, node: NodeId) -> Result<&[Link], Box<str>> {
    let item = graph.data(node);
    match &item.outcome {
        Outcome::Middleware(leaf) => Ok(std::slice::from_ref(&leaf.link)),
        Outcome::Chain(links) => Ok(links),
        _ => Err(failure(graph, node)),
    }
}

/// Why a middleware cannot be used.
pub(super) fn failure(graph: &Graph<Item>, node: NodeId) -> Box<str> {
    if let Outcome::Failed(text) = &graph.data(node).outcome {
        return text.clone();
    }
    let name = &graph.node(node).name;
    format!("middleware \"{name}\" does not exist").into()
}

/// Walks a chain in order, through the chains in it. A pure function of the graph: it stops at the
/// first reference that leads nowhere, at the first cycle and after [`MAX_CHAIN_STEPS`] steps.
pub(super) fn flatten(
    graph: &Graph<Item>,
    chain: NodeId,
    names: &Names,
) -> Result<Arc<[Link]>, Box<str>> {
    let mut walk = Walk {
        graph,
        names,
        stack: Vec::new(),
        links: Vec::new(),
        steps: 0,
    };
    walk.chain(chain)?;
    Ok(walk.links.into())
}

/// The members of every chain whose own text is good.
pub(super) type Names = rustc_hash::FxHashMap<NodeId, Box<[Box<str>]>>;

struct Walk<'g> {
    graph: &'g Graph<Item>,
    names: &'g Names,
    stack: Vec<NodeId>,
    links: Vec<Link>,
    steps: usize,
}

impl Walk<'_> {
    fn chain(&mut self, chain: NodeId) -> Result<(), Box<str>> {
        let graph = self.graph;
        let name = &graph.node(chain).name;
        if self.stack.contains(&chain) {
            let names = self
                .stack
                .iter()
                .chain([&chain])
                .map(|&node| &*graph.node(node).name);
            let path = names.collect::<Vec<_>>().join("->");
            return Err(format!(
                "could not instantiate middleware {name}: recursion detected in {path}"
            )
            .into());
        }
        let Some(members) = self.names.get(&chain) else {
            return Err(failure(graph, chain));
        };
        self.stack.push(chain);
        for member in members {
            self.steps += 1;
            if self.steps > MAX_CHAIN_STEPS {
                let first = &graph.node(self.stack[0]).name;
                return Err(format!(
                    "chain {first} leads to more than {MAX_CHAIN_STEPS} middlewares; split it"
                )
                .into());
            }
            let member = qualify(member, provider_of(name));
            let node = graph.find(Kind::HttpMiddleware, &member);
            let Some(node) = node else {
                return Err(format!("middleware \"{member}\" does not exist").into());
            };
            match &graph.data(node).outcome {
                Outcome::Middleware(leaf) => self.links.push(leaf.link),
                _ => self.chain(node)?,
            }
        }
        self.stack.pop();
        Ok(())
    }
}
