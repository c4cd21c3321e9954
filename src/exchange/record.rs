//! What an exchange notes while it runs, for the access log.

use std::sync::Arc;
use std::time::Duration;

use super::local::{Local, unix_time};
use super::pipeline::Exchange;
use crate::http::{Fields, Version, forwarded};
use crate::io::Instant;
use crate::observe::record::{AccessRecord, FieldSource};

/// Notes of the exchange under way. Kept by the worker; strings are shared, not copied.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) started: Option<Instant>,
    pub(crate) origin_started: Option<Instant>,
    pub(crate) origin_duration: Duration,
    pub(crate) router: Option<Arc<str>>,
    pub(crate) service: Option<Arc<str>>,
    pub(crate) server_url: Option<Arc<str>>,
    pub(crate) user: String,
    pub(crate) status: u16,
    pub(crate) origin_status: Option<u16>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) retries: u32,
    /// Whether the route wants a record; decided when it has matched.
    pub(crate) wanted: bool,
}

impl Notes {
    /// Begins the notes of another exchange.
    pub(crate) fn start(&mut self, local: &Local) {
        let mut user = std::mem::take(&mut self.user);
        user.clear();
        *self = Self {
            user,
            started: Some(local.io.now()),
            ..Self::default()
        };
    }
}

impl Exchange<'_> {
    /// Writes the access log's record of this exchange, if it is wanted.
    pub(crate) fn write_record(&mut self) {
        if !self.notes.wanted {
            return;
        }
        let now = self.local.io.now();
        let notes = &*self.notes;
        let duration = notes
            .started
            .map_or(Duration::ZERO, |at| now.saturating_since(at));
        self.local.records.write(&AccessRecord {
            started: unix_time(self.local.io.wall()).saturating_sub(duration),
            duration,
            origin_duration: notes.origin_duration,
            client: self.client_addr,
            forwarded_for: forwarded::received(self.request),
            username: Some(notes.user.as_str()).filter(|user| !user.is_empty()),
            method: self.request.method_bytes(),
            target: self.request.raw_target(),
            protocol: match self.request.version {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            },
            scheme: if self.peer.is_tls() { "https" } else { "http" },
            authority: self.request.authority().unwrap_or_default(),
            request_bytes: notes.request_bytes,
            status: notes.status,
            response_bytes: notes.response_bytes,
            origin_status: notes.origin_status,
            origin_bytes: notes.origin_status.map_or(0, |_| notes.response_bytes),
            retries: notes.retries,
            entry_point: &self.entry_point.name,
            router: notes.router.as_deref().unwrap_or_default(),
            service: notes.service.as_deref().unwrap_or_default(),
            server_url: notes.server_url.as_deref().unwrap_or_default(),
            request_fields: &self.request.fields,
            response_fields: &self.response.fields,
        });
    }
}

impl FieldSource for Fields {
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.iter() {
            visit(name, value);
        }
    }
}
