//! What a run of the load generator counted, and its report.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cpu::Thread;
use crate::histogram::Histogram;

/// Successes over the measured window, failures over the whole run.
#[derive(Default)]
pub struct Counts {
    /// Complete responses, whatever their status.
    pub requests: u64,
    /// Bytes of bodies received.
    pub body_bytes: u64,
    /// Connections attempted.
    pub connects: u64,
    /// The peer ended a keep-alive connection after a complete response that said so.
    pub announced_closes: u64,
    /// Connections that could not be made.
    pub connect_errors: u64,
    /// Connections that broke while a request was under way.
    pub io_errors: u64,
    /// The connection ended before its response was complete.
    pub short_responses: u64,
    /// Responses with another status than the expected one.
    pub unexpected_status: u64,
    /// Bytes that are no response, or that nothing asked for.
    pub bad_responses: u64,
    /// Body pieces that differ from the pattern.
    pub body_mismatches: u64,
    /// Idle connections that the peer closed while they were held.
    pub idle_lost: u64,
}

impl Counts {
    /// Starts the measured window: what succeeded before is forgotten, failures are not.
    pub fn begin(&mut self) {
        self.requests = 0;
        self.body_bytes = 0;
        self.connects = 0;
    }

    /// All failures together; a run is good when this is 0.
    pub fn failed(&self) -> u64 {
        self.connect_errors
            + self.io_errors
            + self.short_responses
            + self.unexpected_status
            + self.bad_responses
            + self.body_mismatches
            + self.idle_lost
    }

    /// The run's result as one line of JSON. Durations are in microseconds unless named otherwise.
    pub fn report(
        &self,
        elapsed: Duration,
        latencies: &Histogram,
        first_errors: &[String],
        used: &BTreeMap<u32, Thread>,
    ) -> String {
        let micros = |nanos: u64| nanos as f64 / 1e3;
        let threads: Vec<String> = used
            .iter()
            .map(|(tid, thread)| {
                format!(
                    "{{\"pid\": {}, \"tid\": {tid}, \"name\": {:?}, \"us\": {}}}",
                    thread.pid,
                    thread.name,
                    micros(thread.nanos)
                )
            })
            .collect();
        let cpu: u64 = used.values().map(|thread| thread.nanos).sum();
        format!(
            "{{\"requests\": {}, \"seconds\": {:.6}, \"rps\": {:.1}, \"body_bytes\": {}, \"p50_us\": {:.1}, \
             \"p90_us\": {:.1}, \"p99_us\": {:.1}, \"max_us\": {:.1}, \"connects\": {}, \"announced_closes\": {}, \
             \"failed\": {}, \"connect_errors\": {}, \"io_errors\": {}, \"short_responses\": {}, \
             \"unexpected_status\": {}, \"bad_responses\": {}, \"body_mismatches\": {}, \"idle_lost\": {}, \
             \"first_errors\": {:?}, \"cpu_us\": {:.1}, \"threads\": [{}]}}\n",
            self.requests,
            elapsed.as_secs_f64(),
            self.requests as f64 / elapsed.as_secs_f64(),
            self.body_bytes,
            micros(latencies.quantile(0.5)),
            micros(latencies.quantile(0.9)),
            micros(latencies.quantile(0.99)),
            micros(latencies.max()),
            self.connects,
            self.announced_closes,
            self.failed(),
            self.connect_errors,
            self.io_errors,
            self.short_responses,
            self.unexpected_status,
            self.bad_responses,
            self.body_mismatches,
            self.idle_lost,
            first_errors,
            micros(cpu),
            threads.join(", "),
        )
    }
}
