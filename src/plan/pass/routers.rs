//! Stages: models and routers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::dynamic::{HttpRouter, Kind, Object};
use crate::plan::Planner;
use crate::plan::graph::NodeId;
use crate::plan::input::Compiled;
use crate::plan::item::{Instance, Instances, Issues, Outcome};
use crate::plan::names::provider_of;
use crate::plan::router::{self, Context, Draft, Split};
use crate::router::RouteTable;
use crate::router::snapshot::{Destination, Route};
use crate::rules::Rule;

use super::Pass;

impl Planner {
    pub(super) fn compile_model(&mut self, node: NodeId, pass: &mut Pass) {
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|object| match object {
            Object::HttpModel(model) => Ok(Compiled {
                value: Arc::clone(model),
                warnings: Vec::new(),
            }),
            _ => unreachable!("a model's node holds models"),
        });
        let model = chosen.compiled.map(|compiled| compiled.value);
        item.issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        }
        .boxed();
        item.outcome = model.map_or(Outcome::None, Outcome::Model);
        self.mark_referrers(node, pass);
    }

    /// An object that compiles to nothing yet: only whether it decodes matters.
    pub(super) fn take_other(&mut self, node: NodeId) {
        let item = self.graph.data_mut(node);
        let chosen = item.input.choose(|_| {
            Ok(Compiled {
                value: (),
                warnings: Vec::new(),
            })
        });
        item.issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        }
        .boxed();
    }

    /// Routers whose names may depend on other routers' are resolved after all names are known.
    pub(super) fn compile_routers(&mut self, pass: &mut Pass) {
        let mut deferred = Vec::new();
        // Making whole tables is several times faster than route by route; it is still O(change).
        let is_most = pass.routers.left() * 2 >= self.count_routes();
        pass.bulk = is_most.then(BTreeMap::new);
        while let Some(node) = pass.routers.next() {
            let draft = self.draft_router(node, pass);
            if draft.splits.iter().any(|split| split.is_generated) {
                deferred.push(draft);
            } else {
                self.place_router(draft, pass);
            }
        }
        for mut draft in deferred {
            let router = Arc::clone(&self.graph.node(draft.node).name);
            draft.splits.retain(|split| {
                let is_lost = split.is_generated && self.is_lost(draft.node, &split.name);
                let key = (Arc::clone(&split.name), Arc::clone(&router));
                if is_lost {
                    self.lost_names.insert(key);
                } else {
                    self.lost_names.remove(&key);
                }
                !is_lost
            });
            self.place_router(draft, pass);
        }
        self.fill_tables(pass);
    }

    fn count_routes(&self) -> usize {
        let entry_points = self.snapshot.entry_points.iter();
        entry_points
            .map(|routes| routes.http.len() + routes.https.len())
            .sum()
    }

    /// Makes the tables of a bulk change.
    fn fill_tables(&mut self, pass: &mut Pass) {
        for ((entry_point, is_tls), change) in pass.bulk.take().into_iter().flatten() {
            let Some(table) = self.table(entry_point, is_tls) else {
                continue;
            };
            let kept = table
                .iter()
                .filter(|route| !change.removed.contains(&Arc::as_ptr(route)));
            *table = kept.cloned().chain(change.added).collect();
        }
    }

    /// A generated name goes to the router that is declared under it, else to the first by name of those
    /// that models would give it.
    fn is_lost(&self, router: NodeId, name: &Arc<str>) -> bool {
        let Some(node) = self.graph.find(Kind::HttpRouter, name) else {
            return false;
        };
        let own_name = &self.graph.node(router).name;
        let mut others = self
            .graph
            .referrers(node)
            .map(|other| &self.graph.node(other).name);
        self.graph.data(node).input.is_present() || others.any(|other| other < own_name)
    }

    fn draft_router(&mut self, node: NodeId, pass: &mut Pass) -> RouterPlan {
        pass.work.compiled += 1;
        let name = Arc::clone(&self.graph.node(node).name);
        let item = self.graph.data(node);
        let known: Option<(Rule, _)> = match &item.outcome {
            Outcome::Router(instances) => instances.iter().find_map(|instance| {
                let route = instance.route.as_ref()?;
                Some((route.rule.clone(), instance.syntax))
            }),
            _ => None,
        };
        let mut input = std::mem::take(&mut self.graph.data_mut(node).input);
        let chosen = input.choose(|object| {
            let Object::HttpRouter(config) = object else {
                unreachable!("a router's node holds routers");
            };
            let syntax = router::syntax(config, &self.entry_points, &self.graph);
            router::compile(
                &name,
                config,
                syntax,
                known.as_ref().map(|(rule, syntax)| (rule, *syntax)),
            )
        });
        let shown = match (&chosen.compiled, input.shown()) {
            (Some(compiled), _) => Some(Arc::clone(&compiled.value.config)),
            (None, Some(Object::HttpRouter(config))) => Some(Arc::clone(config)),
            _ => None,
        };
        let splits = match &shown {
            Some(config) => router::split(&name, config, &self.entry_points, &self.graph),
            None if input.is_present() => vec![Split {
                name: Arc::clone(&name),
                entry_points: Arc::default(),
                model: None,
                is_generated: false,
            }],
            None => Vec::new(),
        };
        let references = shown.map_or_else(Vec::new, |config| {
            self.router_references(&config, &name, &splits)
        });
        let item = self.graph.data_mut(node);
        item.input = input;
        let issues = Issues {
            own: chosen.errors,
            ..Issues::default()
        };
        self.set_router_references(node, references, pass);
        RouterPlan {
            node,
            draft: chosen.compiled.map(|compiled| compiled.value),
            splits,
            issues,
        }
    }

    fn router_references(
        &mut self,
        config: &HttpRouter,
        name: &str,
        splits: &[Split],
    ) -> Vec<NodeId> {
        let provider = provider_of(name);
        let places = self.entry_points.of(config);
        let mut references: Vec<_> = places
            .places()
            .map(|place| self.entry_points.model_node(place))
            .collect();
        for split in splits {
            for (kind, name) in router::references(config, split.model.as_deref(), provider) {
                references.push(self.graph.intern(kind, &name));
            }
            if split.is_generated {
                references.push(self.graph.intern_shared(Kind::HttpRouter, &split.name));
            }
        }
        references
    }

    fn set_router_references(&mut self, node: NodeId, references: Vec<NodeId>, pass: &mut Pass) {
        let mut changed = Vec::new();
        self.graph
            .set_references(node, references, |target| changed.push(target));
        for target in changed {
            pass.statuses.insert(target);
            pass.orphans.push(target);
            if self.graph.node(target).kind == Kind::HttpRouter {
                // Who else claims this name may now get it, or lose it.
                pass.routers.extend(self.graph.referrers(target));
                self.lost_names.remove(&(
                    Arc::clone(&self.graph.node(target).name),
                    Arc::clone(&self.graph.node(node).name),
                ));
            }
        }
    }

    /// Resolves a router's references and puts the difference into the tables.
    fn place_router(&mut self, plan: RouterPlan, pass: &mut Pass) {
        pass.work.resolved += 1;
        let before = match std::mem::take(&mut self.graph.data_mut(plan.node).outcome) {
            Outcome::Router(instances) => instances,
            _ => Instances::default(),
        };
        let find = |name: &Arc<str>| {
            let mut instances = before.iter();
            instances.find(|instance| instance.status.name == *name)
        };
        let shown = self.graph.data(plan.node).input.shown();
        let context = Context {
            precedence: &self.precedence,
            log_internals: self.settings.log_internals,
        };
        let instances: Instances = plan
            .splits
            .iter()
            .map(|split| match &plan.draft {
                Some(draft) => router::resolve(
                    draft,
                    split,
                    &plan.issues,
                    context,
                    &self.graph,
                    find(&split.name),
                ),
                None => router::disabled(split, shown, &plan.issues),
            })
            .collect();
        for old in before.iter() {
            let now = instances
                .iter()
                .find(|now| now.status.name == old.status.name);
            self.update_tables(Some(old), now, pass);
            if now.is_none() {
                self.withdraw_router(&old.status, pass);
            }
        }
        for now in instances.iter() {
            let old = find(&now.status.name);
            if old.is_none() {
                self.update_tables(None, Some(now), pass);
            }
            if old.is_none_or(|old| !Arc::ptr_eq(&old.status, &now.status)) {
                self.publish_router(&now.status, pass);
            }
        }
        self.update_uses(&before, &instances, pass);
        if !instances.is_empty() {
            self.graph.data_mut(plan.node).outcome = Outcome::Router(instances);
        }
    }

    fn update_tables(&mut self, old: Option<&Instance>, now: Option<&Instance>, pass: &mut Pass) {
        let old_places = places(old);
        let new_places = places(now);
        for place in old_places
            .iter()
            .filter(|place| !new_places.contains(place))
        {
            // An equal order replaces the old route, so that the place is never empty in between.
            if !new_places.iter().any(|new| {
                new.entry_point == place.entry_point
                    && new.is_tls == place.is_tls
                    && new.route.order == place.route.order
            }) {
                pass.count_route();
                if let Some(bulk) = &mut pass.bulk {
                    let change = bulk.entry((place.entry_point, place.is_tls)).or_default();
                    change.removed.insert(Arc::as_ptr(place.route));
                    continue;
                }
                let Some(table) = self.table(place.entry_point, place.is_tls) else {
                    continue;
                };
                // The name may have gone to another router already.
                let order = &place.route.order;
                let found = table.get(order);
                if found.is_some_and(|route| Arc::ptr_eq(route, place.route)) {
                    table.remove(order);
                }
            }
        }
        for place in new_places
            .iter()
            .filter(|place| !old_places.contains(place))
        {
            pass.count_route();
            let route = Arc::clone(place.route);
            if let Some(bulk) = &mut pass.bulk {
                let change = bulk.entry((place.entry_point, place.is_tls)).or_default();
                change.added.push(route);
            } else if let Some(table) = self.table(place.entry_point, place.is_tls) {
                table.insert_shared(route);
            }
        }
    }

    fn table(&mut self, entry_point: u16, is_tls: bool) -> Option<&mut RouteTable<Destination>> {
        let entry_points = &mut self.snapshot.entry_points;
        let routes = entry_points.get_mut(usize::from(entry_point))?;
        Some(if is_tls {
            &mut routes.https
        } else {
            &mut routes.http
        })
    }
}

/// A router's own text compiled, its names and references known.
#[derive(Debug)]
struct RouterPlan {
    node: NodeId,
    draft: Option<Draft>,
    splits: Vec<Split>,
    issues: Issues,
}

/// A route in one table.
struct Place<'a> {
    entry_point: u16,
    is_tls: bool,
    route: &'a Arc<Route>,
}

impl PartialEq for Place<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.entry_point == other.entry_point
            && self.is_tls == other.is_tls
            && Arc::ptr_eq(self.route, other.route)
    }
}

fn places(instance: Option<&Instance>) -> Vec<Place<'_>> {
    let Some((instance, route)) =
        instance.and_then(|instance| Some((instance, instance.route.as_ref()?)))
    else {
        return Vec::new();
    };
    let sets = instance
        .status
        .router()
        .into_iter()
        .map(|detail| &detail.entry_points);
    let places = sets.flat_map(|set| set.places());
    places
        .map(|entry_point| Place {
            entry_point,
            is_tls: instance.is_tls,
            route,
        })
        .collect()
}
