//! A header section as it is edited, read and written.

use super::*;
use crate::http::sink::Sink;

fn name(text: &str) -> FieldName {
    FieldName::parse(text).unwrap()
}

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (key, value) in lines {
        fields.append(&name(key), value.as_bytes());
    }
    fields
}

fn written(fields: &Fields) -> String {
    let mut out = Vec::new();
    fields.write(|_| true, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn order_is_kept_and_names_are_canonical() {
    let fields = fields(&[("x-b", "1"), ("HOST", "a"), ("foo_bar", "2"), ("x-b", "3")]);
    assert_eq!(
        written(&fields),
        "X-B: 1\r\nHost: a\r\nFoo_bar: 2\r\nX-B: 3\r\n"
    );
    assert_eq!(fields.len(), 4);
    assert_eq!(fields.get_name(&name("X-b")), Some(&b"1"[..]));
    assert_eq!(fields.all_by_name(&name("x-B")).count(), 2);
    assert_eq!(fields.count(&name("X-B")), 2);
    assert_eq!(fields.get(Token::Host), Some(&b"a"[..]));
}

#[test]
fn set_replaces_all_at_the_place_of_the_first() {
    let mut fields = fields(&[("a", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
    fields.set(&name("A"), b"5");
    assert_eq!(written(&fields), "A: 5\r\nB: 2\r\nC: 4\r\n");
    fields.set(&Token::Via, b"6");
    assert_eq!(written(&fields), "A: 5\r\nB: 2\r\nC: 4\r\nVia: 6\r\n");
}

#[test]
fn remove_tells_whether_there_was_one() {
    let mut fields = fields(&[("a", "1"), ("via", "2"), ("a", "3")]);
    assert!(fields.remove(&name("a")));
    assert!(!fields.remove(&name("a")));
    assert!(fields.remove(&Token::Via));
    assert!(fields.is_empty() && written(&fields).is_empty());
}

#[test]
fn a_value_cannot_start_a_line() {
    let mut fields = Fields::new();
    fields.append(&Token::Location, b" /a\r\nSet-Cookie: x\0 \t");
    assert_eq!(written(&fields), "Location: /a  Set-Cookie: x\r\n");
    fields.set_parts(&Token::Location, &[b"/b\r", b"\n", b"c"]);
    assert_eq!(written(&fields), "Location: /b  c\r\n");
    fields.append(&name("empty"), b" \t ");
    assert_eq!(fields.get_name(&name("empty")), Some(&b""[..]));
}

#[test]
fn lists_are_joined() {
    let mut fields = fields(&[
        ("x-forwarded-for", "1"),
        ("a", "b"),
        ("x-forwarded-for", "2"),
    ]);
    fields.append_to_list(&Token::XForwardedFor, b"3");
    assert_eq!(written(&fields), "X-Forwarded-For: 1, 2, 3\r\nA: b\r\n");
    fields.join(&Token::XForwardedFor);
    assert_eq!(fields.get(Token::XForwardedFor), Some(&b"1, 2, 3"[..]));
    fields.join(&Token::Via);
    assert!(!fields.contains(&Token::Via));
    fields.append_to_list(&Token::Via, b"x");
    assert_eq!(fields.get(Token::Via), Some(&b"x"[..]));
    fields.set(&Token::Via, b"");
    fields.append_to_list(&Token::Via, b"y");
    assert_eq!(fields.get(Token::Via), Some(&b"y"[..]));
}

#[test]
fn received_lines_become_canonical_lines() {
    let block = b"hOST:a\r\nx-Foo-BAR: v\r\nX-E:\r\nX-W:  w \t\r\n\r\n";
    let mut fields = Fields::new();
    fields.receive(block);
    assert_eq!(fields.push_received(0, 4, 5..6), (Some(Token::Host), false));
    assert_eq!(fields.push_received(8, 9, 19..20), (None, true));
    assert_eq!(fields.push_received(22, 3, 26..26), (None, false));
    assert_eq!(fields.push_received(28, 3, 34..35), (None, false));
    assert_eq!(
        written(&fields),
        "Host: a\r\nX-Foo-Bar: v\r\nX-E: \r\nX-W: w\r\n"
    );
}

#[test]
fn neighbours_are_written_at_once() {
    struct Pieces(Vec<usize>);
    impl Sink for Pieces {
        fn put(&mut self, bytes: &[u8]) {
            self.0.push(bytes.len());
        }
    }
    let mut fields = fields(&[("a", "1"), ("b", "2"), ("via", "3"), ("c", "4")]);
    let mut pieces = Pieces(Vec::new());
    fields.write(|_| true, &mut pieces);
    assert_eq!(pieces.0.iter().filter(|&&length| length > 0).count(), 1);
    fields.remove(&Token::Via);
    let mut pieces = Pieces(Vec::new());
    fields.write(|_| true, &mut pieces);
    assert_eq!(pieces.0.iter().filter(|&&length| length > 0).count(), 2);
}

#[test]
fn nominated_lines_go_and_spared_ones_stay() {
    let mut fields = fields(&[
        ("x-a", "1"),
        ("connection", "X-B, x-keep"),
        ("x-b", "2"),
        ("x-keep", "3"),
        ("connection", "x-A,connection"),
        ("x-c", "4"),
    ]);
    fields.remove_nominated(|_, name| name == b"X-Keep");
    let names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [&b"Connection"[..], b"X-Keep", b"Connection", b"X-C"]
    );
}

#[test]
fn clear_keeps_the_memory() {
    let mut fields = fields(&[("a", "1")]);
    let capacity = (fields.arena.capacity(), fields.lines.capacity());
    fields.clear();
    assert_eq!((fields.arena.capacity(), fields.lines.capacity()), capacity);
    assert!(fields.is_empty() && fields.get_name(&name("a")).is_none());
}
