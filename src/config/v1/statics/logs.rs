//! The program's log, the access log and metrics.

use super::super::build::Map;
use super::super::read::Fields;
use super::super::remark::Problems;
use super::Static;
use crate::config::duration::GoDuration;

impl Static<'_, '_, '_> {
    pub(super) fn logs(&mut self) {
        let problems = &mut *self.problems;
        let level = self.top.text("logLevel", problems);
        let level = level.map(|level| level.to_uppercase());
        let level = match level.as_deref() {
            Some("WARNING") => Some("WARN".to_owned()),
            _ => level,
        };
        let is_debugging = self.top.is_on("debug", problems);
        let level = if is_debugging {
            Some("DEBUG".to_owned())
        } else {
            level
        };
        let mut file = self.top.text("traefikLogsFile", problems);
        let mut format = None;
        if let Some(mut log) = self.top.below("traefikLog", problems) {
            file = log.text("filePath", problems).or(file);
            format = log.text("format", problems);
            log.finish(problems);
        }
        let log = Map::new()
            .some("level", level)
            .some("filePath", file)
            .some("format", format);
        let former = self.top.text("accessLogsFile", problems);
        let access = self.top.below("accessLog", problems);
        let access = match (access, former) {
            (Some(fields), former) => Some(access_log(fields, former, problems)),
            (None, Some(file)) => Some(Map::new().text("filePath", file)),
            (None, None) => None,
        };
        self.add("log", log);
        if let Some(access) = access {
            self.map.push("accessLog", access.done());
        }
        self.metrics();
    }

    fn metrics(&mut self) {
        let problems = &mut *self.problems;
        let mut map = Map::new();
        let mut web = self.top.below("web", problems);
        let of_web = web.as_mut().and_then(|web| web.below("metrics", problems));
        let own = self.top.below("metrics", problems);
        for mut metrics in own.into_iter().chain(of_web).take(1) {
            if let Some(mut prometheus) = metrics.below("prometheus", problems) {
                let own = Map::new()
                    .list("buckets", prometheus.list("buckets", problems))
                    .some("entryPoint", prometheus.text("entryPoint", problems));
                prometheus.finish(problems);
                map = map.node("prometheus", own.done());
            }
            for (name, today) in [("datadog", "datadog"), ("statsd", "statsD")] {
                if let Some(mut exporter) = metrics.below(name, problems) {
                    let own = Map::new()
                        .some("address", exporter.text("address", problems))
                        .some("pushInterval", exporter.text("pushInterval", problems));
                    exporter.finish(problems);
                    map = map.node(today, own.done());
                }
            }
            if let Some(node) = metrics.get("influxdb") {
                let path = metrics.path_of("influxdb");
                problems.lost(
                    path,
                    node.at,
                    "metrics are not sent to InfluxDB 1; there is metrics.influxDB2",
                );
            }
            metrics.finish(problems);
        }
        self.add("metrics", map);
    }
}

fn access_log(mut log: Fields<'_, '_>, former: Option<String>, problems: &mut Problems) -> Map {
    let format = log.text("format", problems);
    let is_json = format.as_deref() == Some("json");
    let buffering: Option<i64> = log.value("bufferingSize", problems);
    let mut map = Map::new()
        .some("filePath", log.text("filePath", problems).or(former))
        .some("format", format)
        .some("bufferingSize", buffering);
    if let Some(mut filters) = log.below("filters", problems) {
        let shortest: Option<GoDuration> = filters.value("minDuration", problems);
        let own = Map::new()
            .list("statusCodes", filters.list("statusCodes", problems))
            .flag("retryAttempts", filters.is_on("retryAttempts", problems))
            .some("minDuration", shortest);
        filters.finish(problems);
        map = map.filled("filters", own);
    }
    let mut fields = log.below("fields", problems);
    let mut own = Map::new();
    let mut headers = None;
    if let Some(fields) = &mut fields {
        own = own
            .some("defaultMode", fields.text("defaultMode", problems))
            .texts("names", fields.texts_below("names", problems));
        headers = fields.below("headers", problems);
    }
    let mut mode = None;
    let mut names = Vec::new();
    if let Some(mut headers) = headers {
        mode = headers.text("defaultMode", problems);
        names = headers.texts_below("names", problems);
        headers.finish(problems);
    }
    // In JSON, Traefik 1 wrote headers unless told otherwise.
    let mode = mode.or(is_json.then(|| "keep".to_owned()));
    let headers = Map::new().some("defaultMode", mode).texts("names", names);
    own = own.filled("headers", headers);
    if let Some(fields) = fields {
        fields.finish(problems);
    }
    log.finish(problems);
    map.filled("fields", own)
}
