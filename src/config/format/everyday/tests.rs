//! What this reader reads, the full parser reads the same.

use proptest::prelude::*;

use super::super::yaml;
use super::super::{Keep, Sink};
use super::*;

fn everyday(text: &str) -> Option<Node<'_>> {
    parse(text, &mut Keep)
}

fn full(text: &str) -> Option<Node<'_>> {
    yaml::parse(text, &mut Keep)
        .ok()
        .map(|document| document.tree)
}

/// The same tree without the places of nulls, which no error shows, and of lists, where the full parser points
/// at the first item if the list is not indented.
fn comparable(mut node: Node<'_>) -> Node<'_> {
    match &mut node.value {
        Value::Null => node.at = Position::NONE,
        Value::Scalar(_) => {}
        Value::List(items) => {
            node.at = Position::NONE;
            *items = std::mem::take(items).into_iter().map(comparable).collect();
        }
        Value::Map(entries) => {
            for entry in entries {
                entry.node = comparable(entry.node.clone());
            }
        }
        Value::Branch(_) => unreachable!("no document has one"),
    }
    node
}

fn check(text: &str) -> bool {
    let Some(tree) = everyday(text) else {
        return false;
    };
    let full =
        full(text).unwrap_or_else(|| panic!("the full parser refuses {text:?}, read as {tree:?}"));
    assert_eq!(comparable(tree), comparable(full), "{text:?}");
    true
}

#[test]
fn everyday_texts_are_read_as_the_full_parser_reads_them() {
    for text in [
        "",
        "# only a comment\n",
        "---\na: 1\n",
        "a: 1\nb: 'x''y' # c\nc: \"z: #\"\nd:\ne: ~\nf: 0x10\n",
        "http:\n  routers:\n    a:\n      rule: Host(`a`) && PathPrefix(`/b`)\n      entryPoints:\n      - web\n      - websecure\n      service: s\n",
        "l:\n  - a: 1\n    b: 2\n  -   c: 3\n      d: [x, 'y', {z: 1}]\n  - plain text\n  -\n",
        "s: {loadBalancer: {servers: [{url: \"http://127.0.0.1:80\"}, {url: http://b:81}], healthCheck: {}}}\n",
        "a:\n\n  # comment\n  b: 1\n\n\nc: []\n",
        "\"quoted key\": 1\n'other': [ ]\n",
        "a:\n- 1\n- b: 2\n  c:\n  - 3\nd: -5\n",
        "a: x y  # z\nb: x#y\nc: a:b\n",
    ] {
        assert!(check(text), "gave up on {text:?}");
    }
}

#[test]
fn what_is_not_everyday_is_left_to_the_full_parser() {
    for text in [
        "a: &x 1\n",
        "a: *x\n",
        "a: !!str 1\n",
        "a: |\n  x\n",
        "a: >\n  x\n",
        "a: b\n  c\n",
        "a: \"x\\n\"\n",
        "a: 'x\n  y'\n",
        "a: [x,\n  y]\n",
        "a:\tb\n",
        "a: é\n",
        "a: 1\na: 2\n",
        "<<: {a: 1}\n",
        "a: 1\n---\nb: 2\n",
        "a: 1\n b: 2\n",
        "  a: 1\n b: 2\n",
        "a: b: c\n",
        "- a\nb: 1\n",
        "a: {b: c\n",
        "a: [x] y\n",
        "? a\n: b\n",
        "scalar\n",
        "a: @x\n",
        "a: 1\r\n",
        "# \u{1}\na: 1\n",
        "a: 1 # \u{7f}\n",
        "a: 1 # \u{9b}\n",
    ] {
        assert!(everyday(text).is_none(), "read {text:?}");
    }
}

#[test]
fn entries_of_the_third_level_are_handed_over() {
    struct Names(Vec<String>);
    impl<'a> Sink<'a> for Names {
        fn take(
            &mut self,
            above: [&str; 2],
            entry: Entry<'a>,
            _lines: Option<&str>,
        ) -> Option<Entry<'a>> {
            self.0
                .push(format!("{}.{}.{}", above[0], above[1], entry.key));
            None
        }
        fn restart(&mut self) {
            self.0.clear();
        }
    }
    let text = "http:\n  routers:\n    a: {rule: x}\n    b:\n      rule: y\n";
    let mut names = Names(Vec::new());
    assert!(parse(text, &mut names).is_some());
    assert_eq!(names.0, ["http.routers.a", "http.routers.b"]);
    // A text that is given up half-way is read again from its start.
    let text = format!("{text}    c: &x {{rule: z}}\n");
    let mut names = Names(Vec::new());
    super::super::parse_with(super::super::Format::Yaml, &text, &mut names).unwrap();
    assert_eq!(
        names.0,
        ["http.routers.a", "http.routers.b", "http.routers.c"]
    );
}

/// Pieces of YAML that meet each other in every way.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec!["\n", "\n  ", "\n    ", "\n- ", "\n  - ", "a: ", "b: ", "c:", "\nd:\n  ", "\ne: "]),
        3 => prop::sample::select(vec!["x", "1", "~", "true", "x y", "http://h:1", "-", "- ", "/p", "a.b", "`r`", "(x)"]),
        2 => prop::sample::select(vec!["{", "}", "[", "]", ", ", ",", ": ", ":", " ", "''", "'", "\"", "{a: 1}", "[x]", "'q'", "\"q\""]),
        1 => prop::sample::select(vec!["#", " # c", "&a", "*a", "|", ">", "\\", "é", "\t", "---", "\n---\n", "!", "?", "%", "@", "<<: ", "...", "=", "+", "."]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Lines that often fit together.
fn lines() -> impl Strategy<Value = String> {
    let indent = prop::sample::select(vec!["", "  ", "    ", "      ", "   "]);
    let line = prop::sample::select(vec![
        "a:",
        "b:",
        "c: x",
        "d: 'q' # c",
        "e: {a: 1, b: [x, \"y\"]}",
        "f: [ ]",
        "g: http://h:1/p",
        "- x",
        "- a: 1",
        "- b:",
        "-",
        "-  c: y",
        "# c",
        "",
        "\"k\": 1",
        "h: ~",
        "i: x y",
        "- {a: b}",
        "- 'k': v",
    ]);
    prop::collection::vec((indent, line), 0..9).prop_map(|lines| {
        let lines: Vec<_> = lines
            .into_iter()
            .map(|(indent, line)| format!("{indent}{line}\n"))
            .collect();
        lines.concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_text_is_read_differently(text in prop_oneof![text(), lines()]) {
        check(&text);
    }
}
