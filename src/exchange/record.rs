//! What an exchange notes while it runs, for the access log.

use std::sync::Arc;
use std::time::Duration;

use crate::http::Fields;
use crate::io::Instant;
use crate::observe::record::FieldSource;

/// Notes of the exchange under way. Kept by the worker; strings are shared, not copied.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) started: Option<Instant>,
    pub(crate) started_wall: Duration,
    pub(crate) origin_started: Option<Instant>,
    pub(crate) origin_duration: Duration,
    pub(crate) router: Option<Arc<str>>,
    pub(crate) service: Option<Arc<str>>,
    pub(crate) server_url: Option<Arc<str>>,
    pub(crate) username: Option<String>,
    pub(crate) status: u16,
    pub(crate) origin_status: Option<u16>,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) retries: u32,
    /// Whether the route wants a record; decided when it has matched.
    pub(crate) wanted: bool,
}

impl FieldSource for Fields {
    fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in self.iter() {
            visit(name, value);
        }
    }
}
