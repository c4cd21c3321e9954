//! Last stage: statuses, who uses what, and what an operator should read about it.

use std::collections::hash_map::Entry as MapEntry;
use std::sync::Arc;

use crate::config::dynamic::{Kind, Object};
use crate::plan::graph::NodeId;
use crate::plan::item::{Instance, Item, Outcome};
use crate::plan::router;
use crate::plan::status::{Detail, ObjectStatus, Status, UsedBy};
use crate::plan::{Entry, Level, Message, Planner};

use super::Pass;

impl Planner {
    /// Publishes a router under one name.
    pub(super) fn publish_router(&mut self, status: &Arc<ObjectStatus>, pass: &mut Pass) {
        let before = self.published.objects.insert(Arc::clone(status));
        pass.work.statuses += 1;
        log_difference(before.as_deref(), status, &mut pass.log);
    }

    /// Takes a router back that is no longer there under this name.
    pub(super) fn withdraw_router(&mut self, status: &Arc<ObjectStatus>, pass: &mut Pass) {
        let objects = &mut self.published.objects;
        let published = objects.get(Kind::HttpRouter, &status.name);
        // The name may have gone to another router already.
        if published.is_some_and(|published| Arc::ptr_eq(published, status)) {
            objects.remove(Kind::HttpRouter, &status.name);
            pass.work.statuses += 1;
        }
    }

    /// Notes what a router began and ceased to name.
    pub(super) fn update_uses(&self, before: &[Instance], now: &[Instance], pass: &mut Pass) {
        let key = |instance: &Instance| {
            let status = &*instance.status;
            let model = status.router().and_then(|router| router.model.clone());
            (Arc::clone(&status.name), status.object.clone(), model)
        };
        if before.iter().map(key).eq(now.iter().map(key)) {
            return;
        }
        let (before, now) = (self.uses(before), self.uses(now));
        if before != now {
            pass.ended_uses.extend(before);
            pass.begun_uses.extend(now);
        }
    }

    fn uses(&self, instances: &[Instance]) -> Vec<(NodeId, Arc<str>)> {
        let mut uses = Vec::new();
        for instance in instances {
            let status = &instance.status;
            let (Some(Object::HttpRouter(config)), Some(detail)) =
                (&status.object, status.router())
            else {
                continue;
            };
            let references = router::references(config, detail.model.as_deref(), status.provider());
            for (kind, name) in references {
                let node = self.graph.find(kind, &name);
                uses.extend(node.map(|node| (node, Arc::clone(&status.name))));
            }
        }
        uses
    }

    /// Tells the objects which routers name them. One that is not published yet finds out itself.
    pub(super) fn apply_uses(&self, pass: &mut Pass) {
        // Endings first: a name may have gone from one router to another.
        let ended = pass
            .ended_uses
            .drain(..)
            .map(|(node, name)| (node, name, false));
        let begun = pass
            .begun_uses
            .drain(..)
            .map(|(node, name)| (node, name, true));
        for (node, router, begins) in ended.chain(begun) {
            let used_by = match pass.used_by.entry(node) {
                MapEntry::Occupied(known) => known.into_mut(),
                MapEntry::Vacant(unknown) => match self.published_status(node) {
                    Some(published) => unknown.insert(published.used_by().clone()),
                    None => continue,
                },
            };
            match begins {
                true => used_by.insert(&router),
                false => used_by.remove(&router),
            }
            pass.statuses.insert(node);
        }
    }

    fn published_status(&self, node: NodeId) -> Option<&Arc<ObjectStatus>> {
        let node = self.graph.node(node);
        self.published.objects.get(node.kind, &node.name)
    }

    /// The routers that name an object, by its edges.
    fn users(&self, node: NodeId) -> UsedBy {
        let mut used_by = UsedBy::None;
        let kind = self.graph.node(node).kind;
        if !matches!(kind, Kind::HttpService | Kind::HttpMiddleware) {
            return used_by;
        }
        for referrer in self.graph.referrers(node) {
            // An edge may come from a name that the router did not get: its instances decide.
            if let Outcome::Router(instances) = &self.graph.data(referrer).outcome {
                let uses = self.uses(instances).into_iter();
                let names = uses.filter(|(used, _)| *used == node);
                names.for_each(|(_, name)| used_by.insert(&name));
            }
        }
        used_by
    }

    /// Publishes the status of an object that is not a router.
    pub(in crate::plan) fn refresh_status(&mut self, node: NodeId, pass: &mut Pass) {
        let graph_node = self.graph.node(node);
        if graph_node.kind == Kind::HttpRouter {
            return;
        }
        let item = &graph_node.data;
        let (kind, name) = (graph_node.kind, &graph_node.name);
        let published = self.published.objects.get(kind, name);
        let is_internal = graph_node.is_pinned && matches!(item.outcome, Outcome::Service(..));
        if !item.input.is_present() && !is_internal {
            if published.is_some() {
                self.published.objects.remove(kind, name);
                pass.work.statuses += 1;
            }
            return;
        }
        let is_referenced = self.graph.is_referenced(node);
        let used_by = match (pass.used_by.remove(&node), published) {
            (Some(used_by), _) => used_by,
            (None, Some(published)) => published.used_by().clone(),
            (None, None) => self.users(node),
        };
        let status = status(kind, name, item, is_referenced, used_by);
        if published.is_some_and(|published| **published == status) {
            return;
        }
        log_difference(
            published.map(|published| &**published),
            &status,
            &mut pass.log,
        );
        self.published.objects.insert(Arc::new(status));
        pass.work.statuses += 1;
    }
}

fn status(
    kind: Kind,
    name: &Arc<str>,
    item: &Item,
    is_referenced: bool,
    used_by: UsedBy,
) -> ObjectStatus {
    let texts = item.issues.iter().flat_map(|issues| issues.texts());
    let mut errors: Vec<Box<str>> = texts.cloned().collect();
    let compiles = matches!(
        kind,
        Kind::HttpService | Kind::HttpMiddleware | Kind::HttpServersTransport | Kind::HttpModel
    );
    if !compiles {
        errors.push(format!("not supported yet, without effect: {kind}").into());
    }
    let in_force = !matches!(item.outcome, Outcome::None | Outcome::Failed(_));
    let decodes = !matches!(item.input.newest, Entry::Rejected(_));
    let status = if errors.is_empty() {
        Status::Enabled
    } else if compiles && decodes && !is_referenced {
        // Traefik looks only at what something refers to; what does not decode it refuses anyway.
        Status::Enabled
    } else if in_force || !compiles && decodes {
        Status::Warning
    } else {
        Status::Disabled
    };
    ObjectStatus {
        kind,
        name: Arc::clone(name),
        object: item.input.shown().cloned(),
        status,
        errors: errors.into(),
        detail: Detail::UsedBy(used_by),
    }
}

/// What an operator should read about a status that changed.
fn log_difference(before: Option<&ObjectStatus>, now: &ObjectStatus, log: &mut Vec<Message>) {
    let message = |level, text: &str| Message {
        kind: now.kind,
        name: Arc::clone(&now.name),
        level,
        text: text.into(),
    };
    let known = before.map_or(&[][..], |before| &before.errors);
    let level = match now.status {
        Status::Disabled => Level::Error,
        Status::Enabled | Status::Warning => Level::Warning,
    };
    let is_worse = before.is_some_and(|before| before.status < now.status);
    let new = now
        .errors
        .iter()
        .filter(|text| is_worse || !known.contains(text));
    log.extend(new.map(|text| message(level, text)));
    if now.errors.is_empty() && !known.is_empty() {
        log.push(message(Level::Info, "in force again as configured"));
    }
}
