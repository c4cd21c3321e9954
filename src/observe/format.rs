//! What a line of the access log looks like: Traefik's `common` (CLF with additions), `genericCLF` and
//! `json`, with its field filters.
//!
//! Everything that comes from a client is escaped: a value cannot end its quotes or its line.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::record::AccessRecord;
use crate::config::statics::{AccessLog, AccessLogFormat, FieldMode};

/// How records become lines.
pub struct LineFormat {
    form: AccessLogFormat,
    filters: Filters,
    fields: Modes,
    headers: Modes,
    query: FieldMode,
    zone: TimeZone,
    /// Counts lines over all shards (Traefik: `RequestCount`).
    count: AtomicU64,
}

/// Which requests have a line: with filters, those that fulfil at least one.
#[derive(Default)]
struct Filters {
    statuses: Vec<(u16, u16)>,
    retries: bool,
    min_duration: Option<Duration>,
}

/// What happens to fields by name.
struct Modes {
    default: FieldMode,
    named: Vec<(String, FieldMode)>,
}

impl LineFormat {
    /// The format that the static configuration asks for. A status range that does not parse is left
    /// out: the configuration has been validated before.
    pub fn new(config: &AccessLog) -> Self {
        let filters = &config.filters;
        let statuses = filters
            .status_codes
            .iter()
            .filter_map(|text| status_range(text));
        let min_duration = filters.min_duration.as_std();
        Self {
            form: config.format,
            filters: Filters {
                statuses: statuses.collect(),
                retries: filters.retry_attempts,
                min_duration: (!min_duration.is_zero()).then_some(min_duration),
            },
            fields: Modes::new(config.fields.default_mode, config.fields.names.iter()),
            headers: Modes::new(
                config.fields.headers.default_mode,
                config.fields.headers.names.iter(),
            ),
            query: config.fields.query_parameters.default_mode,
            zone: TimeZone::system(),
            count: AtomicU64::new(0),
        }
    }

    /// Appends the record's line to `out`, unless the filters leave it out.
    pub fn write_line(&self, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.filters.keep(record) {
            return;
        }
        match self.form {
            AccessLogFormat::Common => self.write_clf(record, Some(count), out),
            AccessLogFormat::GenericClf => self.write_clf(record, None, out),
            AccessLogFormat::Json => self.write_json(record, count, out),
        }
        out.push(b'\n');
    }

    /// `host - user [time] "METHOD target proto" status size "referer" "agent"` and, with a count,
    /// `count "router" "server" Nms`.
    fn write_clf(&self, record: &AccessRecord<'_>, count: Option<u64>, out: &mut Vec<u8>) {
        self.clf_list("ClientHost", &client_host(record), out);
        out.extend_from_slice(b" - ");
        let user = record.username.unwrap_or_default().as_bytes();
        self.clf_word("ClientUsername", user, out);
        out.extend_from_slice(b" [");
        let started = timestamp(record).to_zoned(TimeZone::UTC);
        write!(out, "{}", started.strftime("%d/%b/%Y:%H:%M:%S %z")).expect(TO_MEMORY);
        out.extend_from_slice(b"] \"");
        escape(record.method, out);
        out.push(b' ');
        escape(&self.target(record), out);
        write!(out, " {}\" ", record.protocol).expect(TO_MEMORY);
        match record.origin_status.unwrap_or(record.status) {
            0 => out.push(b'-'),
            _ => write!(out, "{}", record.status).expect(TO_MEMORY),
        }
        write!(out, " {} ", record.response_bytes).expect(TO_MEMORY);
        self.clf_header("Referer", record, out);
        out.push(b' ');
        self.clf_header("User-Agent", record, out);
        let Some(count) = count else { return };
        write!(out, " {count} ").expect(TO_MEMORY);
        self.clf_quoted("RouterName", record.router, out);
        out.push(b' ');
        self.clf_quoted("ServiceURL", record.server_url, out);
        write!(out, " {}ms", record.duration.as_millis()).expect(TO_MEMORY);
    }

    /// A bare value; `-` for none.
    fn clf_word(&self, name: &str, value: &[u8], out: &mut Vec<u8>) {
        match self.fields.of(name) {
            FieldMode::Keep if !value.is_empty() => escape_bare(value, out),
            FieldMode::Redact => out.extend_from_slice(REDACTED),
            FieldMode::Keep | FieldMode::Drop => out.push(b'-'),
        }
    }

    /// A list as Traefik writes it, with its blanks after commas; any other blank is escaped.
    fn clf_list(&self, name: &str, value: &[u8], out: &mut Vec<u8>) {
        if self.fields.of(name) != FieldMode::Keep || value.is_empty() {
            return self.clf_word(name, value, out);
        }
        for (at, entry) in value.split(|&byte| byte == b',').enumerate() {
            if at > 0 {
                out.push(b',');
            }
            match entry {
                [b' ', rest @ ..] if at > 0 => {
                    out.push(b' ');
                    escape_bare(rest, out);
                }
                _ => escape_bare(entry, out),
            }
        }
    }

    fn clf_quoted(&self, name: &str, value: &str, out: &mut Vec<u8>) {
        out.push(b'"');
        match self.fields.of(name) {
            FieldMode::Keep if !value.is_empty() => escape(value.as_bytes(), out),
            FieldMode::Redact => out.extend_from_slice(REDACTED),
            FieldMode::Keep | FieldMode::Drop => out.push(b'-'),
        }
        out.push(b'"');
    }

    fn clf_header(&self, name: &str, record: &AccessRecord<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.push(b'"');
        let mode = self.headers.of(name);
        record.request_fields.each(&mut |field, value| {
            if out.len() == start + 1 && field.eq_ignore_ascii_case(name.as_bytes()) {
                match mode {
                    FieldMode::Keep => escape(value, out),
                    FieldMode::Redact => out.extend_from_slice(REDACTED),
                    FieldMode::Drop => {}
                }
            }
        });
        if out.len() == start + 1 {
            out.push(b'-');
        }
        out.push(b'"');
    }

    /// One object, keys in alphabetical order.
    fn write_json(&self, record: &AccessRecord<'_>, count: u64, out: &mut Vec<u8>) {
        let mut json = Json { out, first: true };
        let (host, port) = split_authority(record.authority);
        let overhead = record.duration.saturating_sub(record.origin_duration);
        let started = timestamp(record);
        let user = record.username.unwrap_or("-").as_bytes();
        json.open();
        self.text(
            &mut json,
            "ClientAddr",
            record.client.to_string().as_bytes(),
        );
        self.text(&mut json, "ClientHost", &client_host(record));
        self.text(
            &mut json,
            "ClientPort",
            record.client.port().to_string().as_bytes(),
        );
        self.text(&mut json, "ClientUsername", user);
        self.number(&mut json, "DownstreamContentSize", record.response_bytes);
        self.number(&mut json, "DownstreamStatus", u64::from(record.status));
        self.number(&mut json, "Duration", nanos(record.duration));
        self.number(&mut json, "OriginContentSize", record.origin_bytes);
        self.number(&mut json, "OriginDuration", nanos(record.origin_duration));
        let origin_status = u64::from(record.origin_status.unwrap_or_default());
        self.number(&mut json, "OriginStatus", origin_status);
        self.number(&mut json, "Overhead", nanos(overhead));
        self.text(&mut json, "RequestAddr", record.authority);
        self.number(&mut json, "RequestContentSize", record.request_bytes);
        self.number(&mut json, "RequestCount", count);
        self.text(&mut json, "RequestHost", host);
        self.text(&mut json, "RequestMethod", record.method);
        self.text(&mut json, "RequestPath", &self.target(record));
        self.text(&mut json, "RequestPort", port);
        self.text(&mut json, "RequestProtocol", record.protocol.as_bytes());
        self.text(&mut json, "RequestScheme", record.scheme.as_bytes());
        self.number(&mut json, "RetryAttempts", u64::from(record.retries));
        self.optional(&mut json, "RouterName", record.router);
        self.optional(&mut json, "ServiceAddr", server_address(record.server_url));
        self.optional(&mut json, "ServiceName", record.service);
        self.optional(&mut json, "ServiceURL", record.server_url);
        let local = started.to_zoned(self.zone.clone());
        let local = local.strftime("%Y-%m-%dT%H:%M:%S.%f%:z").to_string();
        self.text(&mut json, "StartLocal", local.as_bytes());
        self.text(&mut json, "StartUTC", started.to_string().as_bytes());
        json.fields("downstream_", record.response_fields, &self.headers);
        json.text("entryPointName", record.entry_point.as_bytes());
        json.text("level", b"info");
        json.text("msg", b"");
        json.fields("request_", record.request_fields, &self.headers);
        let now = started + jiff::SignedDuration::try_from(record.duration).unwrap_or_default();
        let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json.text("time", time.as_bytes());
        json.close();
    }

    fn text(&self, json: &mut Json<'_>, name: &str, value: &[u8]) {
        match self.fields.of(name) {
            FieldMode::Keep => json.text(name, value),
            FieldMode::Redact => json.text(name, REDACTED),
            FieldMode::Drop => {}
        }
    }

    fn optional(&self, json: &mut Json<'_>, name: &str, value: &str) {
        if !value.is_empty() {
            self.text(json, name, value.as_bytes());
        }
    }

    fn number(&self, json: &mut Json<'_>, name: &str, value: u64) {
        match self.fields.of(name) {
            FieldMode::Keep => json.number(name, value),
            FieldMode::Redact => json.text(name, REDACTED),
            FieldMode::Drop => {}
        }
    }

    /// The target, its query as the configuration wants it.
    fn target<'r>(&self, record: &AccessRecord<'r>) -> std::borrow::Cow<'r, [u8]> {
        let question = record.target.iter().position(|&byte| byte == b'?');
        let (FieldMode::Drop | FieldMode::Redact, Some(question)) = (self.query, question) else {
            return record.target.into();
        };
        let (path, query) = record.target.split_at(question);
        if self.query == FieldMode::Drop {
            return path.into();
        }
        let mut redacted = path.to_vec();
        for (n, pair) in query[1..].split(|&byte| byte == b'&').enumerate() {
            let name = pair.split(|&byte| byte == b'=').next().unwrap_or_default();
            redacted.push(if n == 0 { b'?' } else { b'&' });
            redacted.extend_from_slice(name);
            redacted.push(b'=');
            redacted.extend_from_slice(REDACTED);
        }
        redacted.into()
    }
}

const REDACTED: &[u8] = b"REDACTED";

/// Why writing to a `Vec` is not checked.
const TO_MEMORY: &str = "writing to memory does not fail";

impl Filters {
    fn keep(&self, record: &AccessRecord<'_>) -> bool {
        if self.statuses.is_empty() && !self.retries && self.min_duration.is_none() {
            return true;
        }
        let status = record.status;
        self.statuses
            .iter()
            .any(|&(low, high)| (low..=high).contains(&status))
            || (self.retries && record.retries > 0)
            || self
                .min_duration
                .is_some_and(|least| record.duration > least)
    }
}

impl Modes {
    fn new<'a>(
        default: FieldMode,
        named: impl Iterator<Item = (impl AsRef<str> + 'a, &'a FieldMode)>,
    ) -> Self {
        let named = named.map(|(name, mode)| (name.as_ref().to_owned(), *mode));
        Self {
            default,
            named: named.collect(),
        }
    }

    fn of(&self, name: &str) -> FieldMode {
        let named = self
            .named
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map_or(self.default, |&(_, mode)| mode)
    }
}

/// One JSON object being written.
struct Json<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Json<'_> {
    fn open(&mut self) {
        self.out.push(b'{');
    }

    fn close(&mut self) {
        self.out.push(b'}');
    }

    fn key(&mut self, parts: &[&[u8]]) {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        for part in parts {
            escape_json(part, self.out);
        }
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.key(&[name.as_bytes()]);
        self.string(value);
    }

    fn string(&mut self, value: &[u8]) {
        self.out.push(b'"');
        escape_json(value, self.out);
        self.out.push(b'"');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.key(&[name.as_bytes()]);
        write!(self.out, "{value}").expect(TO_MEMORY);
    }

    fn fields(&mut self, prefix: &str, source: &dyn super::record::FieldSource, modes: &Modes) {
        if modes.default == FieldMode::Drop && modes.named.is_empty() {
            return;
        }
        source.each(&mut |name, value| {
            let mode = modes.of(std::str::from_utf8(name).unwrap_or_default());
            if mode == FieldMode::Drop {
                return;
            }
            self.key(&[prefix.as_bytes(), name]);
            self.string(if mode == FieldMode::Keep {
                value
            } else {
                REDACTED
            });
        });
    }
}

fn client_host(record: &AccessRecord<'_>) -> std::borrow::Cow<'static, [u8]> {
    match record.forwarded_for {
        Some(list) => list.to_vec().into(),
        None => record.client.ip().to_string().into_bytes().into(),
    }
}

fn split_authority(authority: &[u8]) -> (&[u8], &[u8]) {
    let colon = authority.iter().rposition(|&byte| byte == b':');
    match colon {
        Some(at) if authority[at + 1..].iter().all(u8::is_ascii_digit) => {
            (&authority[..at], &authority[at + 1..])
        }
        _ => (authority, b"-"),
    }
}

/// `host:port` of a server's URL.
fn server_address(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

fn timestamp(record: &AccessRecord<'_>) -> Timestamp {
    let nanos = i128::try_from(record.started.as_nanos()).unwrap_or(i128::MAX);
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `500` or `500-599`.
fn status_range(text: &str) -> Option<(u16, u16)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

/// Text within quotes: quotes, backslashes and control characters escaped.
fn escape(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' | 0x80.. => out.push(byte),
            _ => write!(out, "\\x{byte:02x}").expect(TO_MEMORY),
        }
    }
}

/// Text without quotes: blanks too.
fn escape_bare(value: &[u8], out: &mut Vec<u8>) {
    for part in value.split_inclusive(|&byte| byte == b' ') {
        match part {
            [text @ .., b' '] => {
                escape(text, out);
                out.extend_from_slice(b"\\x20");
            }
            text => escape(text, out),
        }
    }
}

/// Text within a JSON string; bytes that are not UTF-8 become replacement characters.
fn escape_json(value: &[u8], out: &mut Vec<u8>) {
    for chunk in value.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..0x20 => write!(out, "\\u{byte:04x}").expect(TO_MEMORY),
                _ => out.push(byte),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::record::FieldSource;

    struct Headers(&'static [(&'static str, &'static str)]);

    impl FieldSource for Headers {
        fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
            for (name, value) in self.0 {
                visit(name.as_bytes(), value.as_bytes());
            }
        }
    }

    fn record<'a>(headers: &'a Headers) -> AccessRecord<'a> {
        AccessRecord {
            started: Duration::from_secs(1_700_000_000),
            duration: Duration::from_millis(12),
            origin_duration: Duration::from_millis(10),
            client: ([127, 0, 0, 1], 4711).into(),
            forwarded_for: None,
            username: None,
            method: b"GET",
            target: b"/a?x=1&y",
            protocol: "HTTP/1.1",
            scheme: "http",
            authority: b"example.com:8080",
            request_bytes: 0,
            status: 200,
            response_bytes: 5,
            origin_status: Some(200),
            origin_bytes: 5,
            retries: 0,
            entry_point: "web",
            router: "r@file",
            service: "s@file",
            server_url: "http://10.0.0.1:80",
            request_fields: headers,
            response_fields: &(),
        }
    }

    fn line(config: &AccessLog, record: &AccessRecord<'_>) -> String {
        let mut out = Vec::new();
        LineFormat::new(config).write_line(record, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn common_lines_are_traefiks() {
        let got = line(
            &AccessLog::default(),
            &record(&Headers(&[("User-Agent", "curl")])),
        );
        assert_eq!(
            got,
            "127.0.0.1 - - [14/Nov/2023:22:13:20 +0000] \"GET /a?x=1&y HTTP/1.1\" 200 5 \"-\" \"-\" 1 \
             \"r@file\" \"http://10.0.0.1:80\" 12ms\n"
        );
    }

    #[test]
    fn a_client_cannot_break_out_of_its_value() {
        let mut config = AccessLog::default();
        config.fields.headers.default_mode = FieldMode::Keep;
        let headers = Headers(&[("User-Agent", "a\" \u{1} 200\\")]);
        let got = line(&config, &record(&headers));
        assert!(got.contains(r#""a\" \x01 200\\""#), "{got}");
        config.format = AccessLogFormat::Json;
        let got = line(&config, &record(&headers));
        let json: serde_json::Value = serde_json::from_str(&got).unwrap();
        assert_eq!(json["request_User-Agent"], "a\" \u{1} 200\\");
    }

    #[test]
    fn only_the_blanks_of_a_list_stay_in_the_first_field() {
        let got = line(
            &AccessLog::default(),
            &AccessRecord {
                forwarded_for: Some(b"10.1.1.1, 8.8.8.8,1.1.1.1 - x,  y"),
                ..record(&Headers(&[]))
            },
        );
        let expected = r"10.1.1.1, 8.8.8.8,1.1.1.1\x20-\x20x, \x20y - - [";
        assert!(got.starts_with(expected), "{got}");
    }

    #[test]
    fn json_lines_hold_traefiks_fields() {
        let config = AccessLog {
            format: AccessLogFormat::Json,
            ..AccessLog::default()
        };
        let got = line(&config, &record(&Headers(&[])));
        let json: serde_json::Value = serde_json::from_str(&got).unwrap();
        assert_eq!(json["RequestHost"], "example.com");
        assert_eq!(json["RequestPort"], "8080");
        assert_eq!(json["Duration"], 12_000_000);
        assert_eq!(json["Overhead"], 2_000_000);
        assert_eq!(json["ServiceAddr"], "10.0.0.1:80");
        assert_eq!(json["StartUTC"], "2023-11-14T22:13:20Z");
    }

    #[test]
    fn filters_keep_what_fulfils_one_of_them() {
        let mut config = AccessLog::default();
        config.filters.status_codes = vec!["500-599".into()].into();
        assert_eq!(line(&config, &record(&Headers(&[]))), "");
        let failed = AccessRecord {
            status: 503,
            ..record(&Headers(&[]))
        };
        assert_ne!(line(&config, &failed), "");
        let retried = AccessRecord {
            retries: 1,
            ..record(&Headers(&[]))
        };
        assert_eq!(line(&config, &retried), "");
        config.filters.retry_attempts = true;
        assert_ne!(line(&config, &retried), "");
    }

    #[test]
    fn fields_and_queries_can_be_dropped_or_redacted() {
        let mut config = AccessLog {
            format: AccessLogFormat::Json,
            ..AccessLog::default()
        };
        config.fields.default_mode = FieldMode::Drop;
        config
            .fields
            .names
            .insert("RequestPath".into(), FieldMode::Keep);
        config.fields.query_parameters.default_mode = FieldMode::Redact;
        let got = line(&config, &record(&Headers(&[])));
        let json: serde_json::Value = serde_json::from_str(&got).unwrap();
        assert_eq!(json["RequestPath"], "/a?x=REDACTED&y=REDACTED");
        assert!(json.get("ClientAddr").is_none());
    }
}
