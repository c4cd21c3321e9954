//! Stages: transports and services.

use std::sync::Arc;

use crate::config::dynamic::{Kind, Object};
use crate::plan::graph::NodeId;
use crate::plan::item::{Issues, Outcome};
use crate::plan::names::{provider_of, qualify};
use crate::plan::{Planner, service, service_link, transport};
use crate::router::snapshot::ServiceSlot;
use crate::service::{Service, Transport};

use super::Pass;

impl Planner {
    pub(super) fn compile_transport(&mut self, node: NodeId, pass: &mut Pass) {
        pass.work.compiled += 1;
        let name = Arc::clone(&self.graph.node(node).name);
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|object| match object {
            Object::HttpServersTransport(config) => transport::compile(&name, config),
            _ => unreachable!("a transport's node holds transports"),
        });
        let (value, warnings) = chosen.compiled.map_or((None, Vec::new()), |compiled| {
            (Some(compiled.value), compiled.warnings)
        });
        let issues = Issues {
            own: chosen.errors,
            warnings,
            references: Vec::new(),
        };
        let before = match std::mem::take(&mut item.outcome) {
            Outcome::Transport(transport) => Some(transport),
            _ => None,
        };
        let is_same = before == value;
        item.outcome = match value {
            Some(transport) => Outcome::Transport(transport),
            None if item.input.is_present() => issues.failure(),
            None => Outcome::None,
        };
        item.issues = issues.boxed();
        if !is_same {
            self.mark_referrers(node, pass);
        }
    }

    pub(super) fn compile_service(&mut self, node: NodeId, pass: &mut Pass) {
        if self.graph.node(node).is_pinned {
            // The program's own; nobody else can declare it.
            return;
        }
        pass.work.compiled += 1;
        let before_link = service_link(&self.graph, node);
        let name = Arc::clone(&self.graph.node(node).name);
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|object| match object {
            Object::HttpService(config) => service::compile(config),
            _ => unreachable!("a service's node holds services"),
        });
        let before = match std::mem::take(&mut item.outcome) {
            Outcome::Service(slot, service) => Some((slot, service)),
            _ => None,
        };
        let mut issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        };
        let mut references = Vec::new();
        let mut linked = None;
        if let Some(compiled) = chosen.compiled {
            issues.warnings = compiled.warnings;
            match self.find_transport(&name, &compiled.value, &mut references) {
                Ok(transport) => linked = Some((compiled.value, transport)),
                Err(error) => issues.references.push(error),
            }
        }
        let outcome = match linked {
            Some((draft, transport)) => self.place_service(&name, draft, &transport, before, pass),
            None => {
                if let Some((slot, service)) = before {
                    self.end_service(slot, &service, pass);
                }
                match self.graph.data(node).input.is_present() {
                    true => issues.failure(),
                    false => Outcome::None,
                }
            }
        };
        self.graph.data_mut(node).issues = issues.boxed();
        self.graph.data_mut(node).outcome = outcome;
        self.set_references(node, references, pass);
        if service_link(&self.graph, node) != before_link {
            self.mark_referrers(node, pass);
        }
    }

    fn find_transport(
        &mut self,
        service: &str,
        draft: &service::Draft,
        references: &mut Vec<NodeId>,
    ) -> Result<Arc<Transport>, Box<str>> {
        let name = qualify(&draft.transport, provider_of(service));
        if draft.transport.is_empty() || name == "default@internal" {
            return Ok(Arc::clone(&self.default_transport));
        }
        let node = self.graph.intern(Kind::HttpServersTransport, &name);
        references.push(node);
        match &self.graph.data(node).outcome {
            Outcome::Transport(transport) => Ok(Arc::clone(transport)),
            _ => Err(format!("servers transport not found {name}").into()),
        }
    }

    fn place_service(
        &mut self,
        name: &Arc<str>,
        draft: service::Draft,
        transport: &Arc<Transport>,
        before: Option<(ServiceSlot, Arc<Service>)>,
        pass: &mut Pass,
    ) -> Outcome {
        let old = before.as_ref().map(|(_, service)| service);
        let service = service::link(name, draft, transport, old, &mut self.identities);
        if let Some((slot, old)) = &before
            && Arc::ptr_eq(old, &service)
        {
            return Outcome::Service(*slot, service);
        }
        pass.is_snapshot_changed = true;
        pass.work.slots += 1;
        let slot = self.put_service(before.map(|(slot, _)| slot), &service);
        Outcome::Service(slot, service)
    }

    fn end_service(&mut self, slot: ServiceSlot, service: &Arc<Service>, pass: &mut Pass) {
        service::release(service, &mut self.identities);
        self.identities.end_state(service.state);
        self.remove_service(slot);
        pass.is_snapshot_changed = true;
        pass.work.slots += 1;
    }
}
