//! An edited text that is read again comes to what a whole decoding of it comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::config::decode::ObjectError;
use crate::config::dynamic::{Kind, Object, decode_text};

type Results = BTreeMap<ObjectKey, Result<Object, Arc<Vec<ObjectError>>>>;

fn results(decoded: &Decoded) -> Results {
    let objects = decoded.objects.iter();
    objects
        .map(|(key, declared)| (key.clone(), declared.result.clone()))
        .collect()
}

/// What differs, by comparing everything.
fn different(old: &Results, new: &Results) -> FxHashSet<ObjectKey> {
    let keys = old.keys().chain(new.keys());
    let changed = keys.filter(|key| old.get(*key) != new.get(*key));
    changed.cloned().collect()
}

/// Reads a text on top of another both ways; gives how many objects were decoded for it.
fn check(format: Format, current: &mut Decoded, text: &str) -> Option<usize> {
    let whole = match decode_text(format, text, None) {
        Ok(whole) => whole,
        Err(error) => {
            assert_eq!(current.read_again(format, text).unwrap_err(), error);
            return None;
        }
    };
    let before = results(current);
    let reading = current.read_again(format, text).unwrap();
    let decoded = match &reading.0 {
        Content::Whole(decoded) => decoded.objects.len(),
        Content::Difference { read, .. } => read.objects.len(),
    };
    let mut changed = FxHashSet::default();
    current.apply(reading, Some(&mut changed));
    let after = results(current);
    assert_eq!(after, results(&whole), "{text}");
    assert_eq!(current.errors, whole.errors, "{text}");
    assert_eq!(current.warnings, whole.warnings, "{text}");
    assert_eq!(changed, different(&before, &after), "{text}");
    assert_eq!(current.order.len(), whole.order.len(), "{text}");
    if !current.order.is_empty() {
        let order: FxHashSet<_> = current.order.iter().copied().collect();
        let objects = current.objects.values();
        let objects: FxHashSet<_> = objects.map(|declared| declared.content).collect();
        assert_eq!(order.len(), current.order.len());
        assert_eq!(order, objects);
    }
    Some(decoded)
}

const YAML: &str = "\
# routers
http:
  routers:
    a:
      rule: Host(`a`)
      service: s
    b:
      rule: Host(`b`)  # two
      entryPoints:
      - web
      - tls
      service: s

    # of its own
    c: {rule: Host(`c`), service: s}
    d:
      rul: Host(`d`)
    e:
    - x
    f: {rule: Host(`f`), service: t}
    g: {rule: Host(`g`), service: t}
    h: {rule: Host(`h`), service: t}
    i: {rule: Host(`i`), service: t}
    j: {rule: Host(`j`), service: t}
  services:
    s:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:80
    t:
      loadBalancer:
        servers:
        - url: http://127.0.0.1:81
tcp:
  routers:
    a:
      rule: HostSNI(`*`)
      service: s
tls:
  certificates:
    - certFile: a.crt
      keyFile: a.key
    - certFile: b.crt
      keyFile: b.key
";

const TOML: &str = "\
# routers
[http.routers.a]
rule = 'Host(`a`)'
service = 's'
[http.routers.b]
rule = 'Host(`b`)'
service = 's'
[http.routers.c]
rul = 'Host(`c`)'
[http.routers.d]
rule = 'Host(`d`)'
service = 's'
[http.services.s]
[[http.services.s.loadBalancer.servers]]
url = 'http://127.0.0.1:80'
[tcp.routers.a]
rule = 'HostSNI(`*`)'
service = 's'
[[tls.certificates]]
certFile = 'a.crt'
keyFile = 'a.key'
";

const LINES: &[&str] = &[
    "",
    "# comment",
    "http:",
    "HTTP:",
    "  routers:",
    "  Routers:",
    "  middlewares:",
    "  routerz:",
    "    a:",
    "    k:",
    "    l: {rule: Host(`l`), service: s}",
    "    a: {rule: Host(`a`), service: s}",
    "    m:\n      rule: Host(`m`)\n      service: s",
    "    \"q\": {rule: Host(`q`)}",
    "    n: ~",
    "      service: s",
    "      priority: 3",
    "      priority: x",
    "      rule: |\n        Host(`x`)",
    "      rule: Host(`x`) ||\n        Host(`y`)",
    "    - url: x",
    "    - certFile: a.crt",
    "    o: &o {rule: Host(`o`)}",
    "    p: *o",
    "    <<: *o",
    "---",
    "\t",
    "    é: {rule: x}",
    "    r: {rule: \"Host(`\\x61`)\"}",
    "}",
    "[http.routers.k]\nrule = 'Host(`k`)'",
    "[http.routers.c]",
    "service = 's'",
    "priority = 3",
];

/// Something that a person or a program does to lines of a text.
#[derive(Clone, Debug)]
enum Edit {
    Insert(&'static str),
    Remove(usize),
    Repeat(usize),
    Move(usize, usize),
    Indent(usize, usize),
    Dedent(usize),
    Comment,
    Swap(char, char),
}

fn edits() -> impl Strategy<Value = Vec<(usize, Edit)>> {
    let some = 1_usize..12;
    let edit = prop_oneof![
        3 => prop::sample::select(LINES).prop_map(Edit::Insert),
        2 => some.clone().prop_map(Edit::Remove),
        1 => some.clone().prop_map(Edit::Repeat),
        2 => (some.clone(), 0_usize..60).prop_map(|(count, to)| Edit::Move(count, to)),
        1 => (some.clone(), 1_usize..4).prop_map(|(count, by)| Edit::Indent(count, by)),
        1 => some.prop_map(Edit::Dedent),
        1 => Just(Edit::Comment),
        3 => (prop::char::range('a', 's'), prop::sample::select(vec!['a', 'b', 'z', ' ', ':', '{', '"', '\n']))
            .prop_map(|(from, to)| Edit::Swap(from, to)),
    ];
    prop::collection::vec((0_usize..60, edit), 1..8)
}

fn edited(text: &str, at: usize, edit: &Edit) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = at % (lines.len() + 1);
    let range = |count: usize| at..lines.len().min(at + count);
    match edit {
        Edit::Insert(line) => lines.insert(at, (*line).to_owned()),
        Edit::Remove(count) => drop(lines.drain(range(*count))),
        Edit::Repeat(count) => {
            let again = lines[range(*count)].to_vec();
            lines.splice(at..at, again);
        }
        Edit::Move(count, to) => {
            let moved: Vec<_> = lines.drain(range(*count)).collect();
            let to = to % (lines.len() + 1);
            lines.splice(to..to, moved);
        }
        Edit::Indent(count, by) => {
            let range = range(*count);
            for line in &mut lines[range] {
                line.insert_str(0, &"    "[..*by]);
            }
        }
        Edit::Dedent(count) => {
            let range = range(*count);
            for line in &mut lines[range] {
                *line = line.strip_prefix("  ").unwrap_or(line).to_owned();
            }
        }
        Edit::Comment => {
            if let Some(line) = lines.get_mut(at) {
                line.insert_str(0, "# ");
            }
        }
        Edit::Swap(from, to) => {
            if let Some(line) = lines.get_mut(at) {
                *line = line.replacen(*from, &to.to_string(), 1);
            }
        }
    }
    lines.concat_with_newlines()
}

trait Joined {
    fn concat_with_newlines(self) -> String;
}

impl Joined for Vec<String> {
    fn concat_with_newlines(mut self) -> String {
        self.push(String::new());
        self.join("\n")
    }
}

fn check_all(format: Format, start: &str, edits: &[(usize, Edit)]) {
    let mut text = start.to_owned();
    let mut current = decode_text(format, &text, None).unwrap();
    for (at, edit) in edits {
        let next = edited(&text, *at, edit);
        // A text that is broken is often repaired: the next edit begins where the last good one ended.
        if check(format, &mut current, &next).is_some() || at % 3 == 0 {
            text = next;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn an_edited_yaml_text_is_read_as_if_it_were_new(edits in edits()) {
        check_all(Format::Yaml, YAML, &edits);
    }

    #[test]
    fn an_edited_toml_text_is_read_as_if_it_were_new(edits in edits()) {
        check_all(Format::Toml, TOML, &edits);
    }
}

fn keys(decoded: &Decoded, reading: Reading) -> Vec<String> {
    let mut changed = FxHashSet::default();
    decoded.clone().apply(reading, Some(&mut changed));
    let mut keys: Vec<_> = changed.iter().map(ToString::to_string).collect();
    keys.sort();
    keys
}

#[test]
fn only_what_was_edited_is_decoded() {
    // Everyday YAML, YAML that needs the full parser, and TOML.
    let full = format!("{YAML}x: &x 1\n");
    for (format, text) in [
        (Format::Yaml, YAML),
        (Format::Yaml, &full),
        (Format::Toml, TOML),
    ] {
        let good = decode_text(format, text, None).unwrap();
        let bad = good.objects.values();
        let bad = bad.filter(|declared| declared.result.is_err()).count();
        for (from, to, objects) in [
            ("Host(`a`)", "Host(`z`)", 1),
            ("# routers", "# routes", 0),
            ("# routers", "\n\n# moved down", 0),
        ] {
            let edited = text.replacen(from, to, 1);
            let mut current = good.clone();
            let decoded = check(format, &mut current, &edited);
            assert_eq!(decoded, Some(bad + objects), "{from}");
        }
    }
}

#[test]
fn removed_inserted_and_moved_objects_are_found() {
    let good = decode_text(Format::Yaml, YAML, None).unwrap();
    let line = |name: &str| {
        let lines = YAML.lines();
        let found = lines.filter(|line| line.starts_with(&format!("    {name}: {{")));
        format!("{}\n", found.collect::<String>())
    };
    let (f, g) = (line("f"), line("g"));
    let edit = |from: &str, to: &str| {
        let text = YAML.replacen(from, to, 1);
        let reading = good.read_again(Format::Yaml, &text).unwrap();
        assert!(!reading.is_whole());
        keys(&good, reading)
    };
    let (d, e) = ("http.routers.d", "http.routers.e");
    assert_eq!(edit(&f, ""), ["http.routers.f"]);
    assert_eq!(
        edit(&f, &f.replace('f', "v")),
        ["http.routers.f", "http.routers.v"]
    );
    // What stands below a new line has errors in other places.
    let new = "    a0: {rule: x, service: s}\n    b:\n";
    assert_eq!(edit("    b:\n", new), ["http.routers.a0", d, e]);
    assert!(edit(&format!("{f}{g}"), &format!("{g}{f}")).is_empty());
}

#[test]
fn a_second_declaration_is_told_and_its_end_too() {
    let mut current = decode_text(Format::Yaml, YAML, None).unwrap();
    let twice = format!("{YAML}HTTP:\n  routers:\n    a: {{rule: x, service: s}}\n");
    check(Format::Yaml, &mut current, &twice).unwrap();
    let declared = current.get(Kind::HttpRouter, "a").unwrap();
    let errors = declared.result.as_ref().unwrap_err();
    assert!(errors[0].message.contains("twice"), "{}", errors[0]);
    check(Format::Yaml, &mut current, YAML).unwrap();
    let declared = current.get(Kind::HttpRouter, "a").unwrap();
    assert!(declared.result.is_ok());
}

#[test]
fn many_changes_in_one_place_do_not_lose_the_rest() {
    let text = |range: std::ops::Range<u32>| {
        let routers = range.map(|i| format!("    r{i}: {{rule: Host(`h{i}`), service: s}}\n"));
        format!("http:\n  routers:\n{}", routers.collect::<String>())
    };
    let mut current = decode_text(Format::Yaml, &text(0..100), None).unwrap();
    // Removed in front: a few are decoded before the rest is found again.
    let decoded = check(Format::Yaml, &mut current, &text(50..100)).unwrap();
    assert!(decoded <= MAX_MISSES, "{decoded}");
    let decoded = check(Format::Yaml, &mut current, &text(0..100)).unwrap();
    assert_eq!(decoded, 50);
    let decoded = check(Format::Yaml, &mut current, &text(0..100)).unwrap();
    assert_eq!(decoded, 0);
}
