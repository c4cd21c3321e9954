//! The API's answers against those that Traefik 3.7.15 gave to the same configurations, through the real planner.
//!
//! `recorded*.json` hold Traefik's answers as they came, to `recorded*.yml`.

mod recorded;
mod serving;

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::routes::Answers;
use super::{ApiFacts, ApiSettings, ApiState};
use crate::config::dynamic::{ObjectKey, decode_text};
use crate::config::format::Format;
use crate::config::statics::{Disk, Protocol, StaticConfig, load};
use crate::exchange::EntryPointSettings;
use crate::plan::{
    Entry, MergedChange, ObjectChange, PlanSettings, Planner, Position, ProviderState,
};
use crate::provider::internal;
use crate::watcher::Payload;

/// A process's configuration and planner, without its shards.
struct Proxy {
    planner: Planner,
    state: Arc<ApiState>,
    answers: Answers,
    position: u64,
}

/// An answer, its body read.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: String,
    next_page: Option<usize>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    /// The names of a list's items.
    fn names(&self) -> Vec<String> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let items = self.json();
        let items = items.as_array().expect("a list");
        let name = |item: &Value| item["name"].as_str().expect("a name").to_owned();
        items.iter().map(name).collect()
    }
}

impl Proxy {
    /// A process with these flags, its internal objects applied.
    fn new(flags: &[&str]) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let config = load(&flags, &[], &Disk).expect("the flags are good").config;
        let routed = routed_entry_points(&config);
        let names: Vec<_> = routed.iter().map(|point| Arc::clone(&point.name)).collect();
        let defaults: Vec<_> = names
            .iter()
            .filter(|name| &***name != "traefik")
            .cloned()
            .collect();
        let facts = ApiFacts::new(&config, routed, defaults.clone()).unwrap();
        let planner = Planner::new(PlanSettings {
            entry_points: names,
            default_entry_points: defaults,
            precedence: vec!["file".into()],
            internal_services: internal::services(&config),
            ..PlanSettings::default()
        });
        let api = config.api.as_deref().expect("the tests enable the API");
        let settings = ApiSettings::from(api);
        let state = Arc::new(ApiState::new(
            facts,
            planner.published(),
            [Arc::default(), Arc::default()].into(),
        ));
        let mut proxy = Self {
            planner,
            answers: Answers::new(Arc::clone(&state), settings),
            state,
            position: 0,
        };
        proxy.apply(internal_objects(&config), None);
        proxy
    }

    /// Applies a dynamic configuration of provider `file`. Returns what is logged.
    fn load(&mut self, yaml: &str) -> Vec<String> {
        let decoded = decode_text(Format::Yaml, yaml, None).expect("YAML");
        let objects = decoded.objects.into_iter().map(|(key, declared)| {
            let entry = match declared.result {
                Ok(object) => Entry::Present(object),
                Err(errors) => Entry::Rejected(errors),
            };
            change("file", &key, entry)
        });
        self.position += 1;
        self.apply(objects.collect(), Some(self.position))
    }

    fn apply(&mut self, objects: Vec<ObjectChange>, file_position: Option<u64>) -> Vec<String> {
        let file = ProviderState {
            reported: file_position.is_some(),
            position: Position {
                number: file_position.unwrap_or_default(),
                text: format!("edit {}", file_position.unwrap_or_default()).into(),
            },
            objects: objects.len(),
            ..ProviderState::new(&"file".into())
        };
        let planned = self.planner.apply(MergedChange {
            objects,
            providers: vec![file],
            conflicts: Vec::new(),
        });
        self.state.publish(planned.published);
        planned
            .log
            .iter()
            .map(|message| message.text.to_string())
            .collect()
    }

    /// Every shard applies this generation.
    fn acknowledge_all(&self, generation: u64) {
        (0..2).for_each(|shard| self.state.acknowledge(shard, generation));
    }

    fn generation(&self) -> u64 {
        self.state.published().generation
    }

    fn get(&self, target: &str) -> Answer {
        block_on(self.ask(&Method::GET, target))
    }

    async fn ask(&self, method: &Method, target: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let response = self.answers.of(method, path, query).await;
        let field = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().expect("ASCII").to_owned())
        };
        Answer {
            status: response.status(),
            content_type: field("content-type").unwrap_or_default(),
            next_page: field("x-next-page").map(|page| page.parse().expect("a number")),
            text: {
                let body = response.into_body().collect().await.expect("a whole body");
                String::from_utf8(body.to_bytes().to_vec()).expect("UTF-8")
            },
        }
    }
}

fn routed_entry_points(config: &StaticConfig) -> Vec<EntryPointSettings> {
    let points = config.entry_points.iter();
    let points = points.filter(|(_, point)| point.address.protocol() == Protocol::Tcp);
    let settings = points.map(|(name, point)| {
        EntryPointSettings::new(name, point, &config.global, &config.ringway.limits)
    });
    settings.collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

fn change(provider: &str, key: &ObjectKey, entry: Entry) -> ObjectChange {
    ObjectChange {
        kind: key.kind,
        name: format!("{}@{provider}", key.name).into(),
        entry,
        last_good: None,
    }
}

fn internal_objects(config: &StaticConfig) -> Vec<ObjectChange> {
    let Payload::Snapshot(objects) = internal::update(config).payload else {
        panic!("the internal provider has everything at once");
    };
    let objects = objects.into_iter();
    objects
        .map(|(key, entry)| change("internal", &key, entry))
        .collect()
}
