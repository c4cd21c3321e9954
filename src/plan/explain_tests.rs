//! Explanations over small configurations.

use super::*;
use crate::config::dynamic::decode_text;
use crate::config::format::Format;
use crate::config::statics::{EntryPoint, Global, Limits};
use crate::plan::{Entry, MergedChange, ObjectChange, PlanSettings, Planner};

const CONFIG: &str = r#"
http:
  routers:
    api:
      rule: Host(`a.test`) && PathPrefix(`/api`)
      middlewares: [strip]
      service: backend
    all:
      rule: Host(`a.test`)
      service: backend
    secure:
      rule: Host(`tls.test`)
      service: backend
      tls: {}
    post:
      rule: Host(`a.test`) && Method(`POST`) && PathPrefix(`/api`)
      service: backend
    broken:
      rule: Host(`a.test`) && Path(`/broken`)
      service: missing
    elsewhere:
      rule: Host(`elsewhere.test`)
      service: backend
  middlewares:
    strip:
      stripPrefix:
        prefixes: [/api]
  services:
    backend:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:9001
          - url: http://127.0.0.1:9002
            weight: 3
"#;

fn entry_point(name: &str, port: u16) -> EntryPointSettings {
    EntryPointSettings {
        port,
        ..EntryPointSettings::new(
            name,
            &EntryPoint::default(),
            &Global::default(),
            &Limits::default(),
        )
    }
}

fn published() -> Arc<Published> {
    let decoded = decode_text(Format::Yaml, CONFIG, None).unwrap();
    let objects = decoded
        .objects
        .into_iter()
        .map(|(key, declared)| ObjectChange {
            kind: key.kind,
            name: format!("{}@file", key.name).into(),
            entry: Entry::Present(declared.result.unwrap()),
            last_good: None,
        });
    let mut planner = Planner::new(PlanSettings {
        entry_points: vec!["other".into(), "web".into()],
        default_entry_points: vec!["web".into()],
        ..PlanSettings::default()
    });
    planner
        .apply(MergedChange {
            objects: objects.collect(),
            ..MergedChange::default()
        })
        .published
}

fn ask(question: &Question) -> Result<Explained, String> {
    let entry_points = [entry_point("other", 81), entry_point("web", 8000)];
    explain(&published(), &entry_points, &["web".into()], question)
}

fn router(question: &Question) -> Option<String> {
    ask(question).unwrap().router.map(|router| router.name)
}

#[test]
fn the_router_is_shown_with_its_whole_way() {
    let explained = ask(&Question::get("http://A.test/x/../api//users?q=1")).unwrap();
    assert_eq!(explained.entry_point, "web");
    assert_eq!(
        (explained.host.as_str(), explained.path.as_str()),
        ("a.test", "/api/users")
    );
    let router = explained.router.as_ref().unwrap();
    assert_eq!(router.name, "api@file");
    assert_eq!(router.middlewares[0].r#type, "stripPrefix");
    assert_eq!(router.service.servers[1].weight, 3);
    let text = explained.to_string();
    assert!(text.contains("yes  PathPrefix(`/api`)"), "{text}");
    assert!(text.contains("http://127.0.0.1:9002 (weight 3)"), "{text}");
}

#[test]
fn runners_up_say_why_they_lost() {
    let explained = ask(&Question::get("http://a.test/api")).unwrap();
    let reason = |name: &str| {
        let runner = explained
            .runners_up
            .iter()
            .find(|runner| runner.name == name);
        runner
            .unwrap_or_else(|| panic!("{name} is missing in {explained}"))
            .reason
            .clone()
    };
    assert!(
        reason("all@file").contains("its priority 14 is below"),
        "{explained}"
    );
    assert!(
        reason("post@file").contains("Method(`POST`) is not fulfilled"),
        "{explained}"
    );
    assert!(
        !explained
            .runners_up
            .iter()
            .any(|runner| runner.name == "elsewhere@file")
    );
}

#[test]
fn method_fields_and_client_count() {
    let mut question = Question::get("http://ignored.test/api");
    question
        .headers
        .push(("Host".to_owned(), "a.test".to_owned()));
    question.method = "POST".to_owned();
    assert_eq!(router(&question).as_deref(), Some("post@file"));
}

#[test]
fn a_disabled_router_that_would_match_says_so() {
    let explained = ask(&Question::get("http://a.test/broken")).unwrap();
    assert_eq!(
        explained.router.as_ref().map(|router| router.name.as_str()),
        Some("all@file")
    );
    let broken = explained
        .runners_up
        .iter()
        .find(|runner| runner.name == "broken@file")
        .unwrap();
    assert!(
        broken.reason.contains("disabled") && broken.reason.contains("missing@file"),
        "{explained}"
    );
}

#[test]
fn a_router_for_the_other_kind_of_connection_is_pointed_out() {
    let explained = ask(&Question::get("http://tls.test/")).unwrap();
    assert!(explained.router.is_none());
    assert!(
        explained.runners_up[0].reason.contains("https://"),
        "{explained}"
    );
    assert!(explained.to_string().contains("404"), "{explained}");
    assert_eq!(
        router(&Question::get("https://tls.test/")).as_deref(),
        Some("secure@file")
    );
}

#[test]
fn the_entry_point_is_the_named_one_or_follows_from_the_port() {
    let entry_point = |url: &str| ask(&Question::get(url)).unwrap().entry_point;
    assert_eq!(entry_point("http://a.test:81/"), "other");
    assert_eq!(entry_point("http://a.test:8000/"), "web");
    assert_eq!(entry_point("http://a.test/"), "web", "a default one");
    let mut question = Question::get("http://a.test/");
    question.entry_point = Some("other".to_owned());
    assert!(router(&question).is_none());
    question.entry_point = Some("nowhere".to_owned());
    assert!(ask(&question).unwrap_err().contains("other, web"));
}

#[test]
fn without_a_port_the_usual_entry_point_is_asked() {
    let chosen = |entry_points: &[(&str, u16)], defaults: &[&str], url: &str| {
        let entry_points: Vec<_> = entry_points
            .iter()
            .map(|(name, port)| entry_point(name, *port))
            .collect();
        let defaults: Vec<Arc<str>> = defaults.iter().map(|name| Arc::from(*name)).collect();
        let question = Question::get(url);
        let target = Target::parse(&question.url).unwrap();
        let (_, settings) =
            choose_entry_point(&entry_points, &defaults, &question, &target).unwrap();
        settings.name.to_string()
    };
    let usual = [("admin", 9000), ("web", 8080), ("websecure", 8443)];
    let defaults = ["admin", "web", "websecure"];
    assert_eq!(chosen(&usual, &defaults, "http://a/"), "web");
    assert_eq!(chosen(&usual, &defaults, "https://a/"), "websecure");
    assert_eq!(chosen(&usual, &defaults, "http://a:9000/"), "admin");
    let ports = [("admin", 9000), ("web", 8080), ("http", 80), ("tls", 443)];
    assert_eq!(chosen(&ports, &defaults, "http://a/"), "http");
    assert_eq!(chosen(&ports, &defaults, "https://a/"), "tls");
    let odd = [("admin", 9000), ("front", 8080)];
    assert_eq!(chosen(&odd, &["front"], "http://a/"), "front");
}

#[test]
fn a_question_that_is_none_is_an_error() {
    for url in ["a.test", "ftp://a.test/", "http:///x", "http://a.test/%zz"] {
        assert!(ask(&Question::get(url)).is_err(), "{url}");
    }
}

#[test]
fn the_json_form_has_everything() {
    let json = serde_json::to_value(ask(&Question::get("http://a.test/api")).unwrap()).unwrap();
    assert_eq!(
        json["router"]["service"]["servers"][0]["url"],
        "http://127.0.0.1:9001"
    );
    assert_eq!(json["runnersUp"][0]["matches"], true);
    assert_eq!(json["entryPoint"], "web");
}
