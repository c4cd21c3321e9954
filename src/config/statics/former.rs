//! Keys of earlier major versions of Traefik: what became of them. Not here: keys that Traefik 3 has.

use crate::config::decode::Path;

/// What became of keys, by their path; `*` stands for any name.
const FORMER: &[(&str, &str)] = &[
    // Removed in Traefik 2.
    ("accessLogsFile", "accessLog.filePath"),
    ("acme", "certificatesResolvers.<name>.acme"),
    ("backends", "http.services of the dynamic configuration"),
    ("consul", "providers.consul"),
    ("consulCatalog", "providers.consulCatalog"),
    ("debug", "log.level"),
    (
        "defaultEntryPoints",
        "entryPoints.<name>.asDefault; without it every entry point is a default one",
    ),
    ("docker", "providers.docker"),
    (
        "entryPoints.*.auth",
        "the middlewares basicAuth, digestAuth and forwardAuth",
    ),
    ("entryPoints.*.compress", "the middleware compress"),
    (
        "entryPoints.*.redirect",
        "entryPoints.<name>.http.redirections",
    ),
    (
        "entryPoints.*.tls",
        "entryPoints.<name>.http.tls, and tls.certificates of the dynamic configuration",
    ),
    ("entryPoints.*.whiteList", "the middleware ipAllowList"),
    ("etcd", "providers.etcd"),
    ("file", "providers.file"),
    ("frontends", "http.routers of the dynamic configuration"),
    (
        "graceTimeOut",
        "entryPoints.<name>.transport.lifeCycle.graceTimeOut",
    ),
    ("insecureSkipVerify", "serversTransport.insecureSkipVerify"),
    ("kubernetes", "providers.kubernetesIngress"),
    ("logLevel", "log.level"),
    (
        "maxIdleConnsPerHost",
        "serversTransport.maxIdleConnsPerHost",
    ),
    (
        "providersThrottleDuration",
        "providers.providersThrottleDuration",
    ),
    ("rest", "providers.rest"),
    ("retry", "the middleware retry"),
    ("traefikLog", "log.filePath"),
    ("traefikLogsFile", "log.filePath"),
    ("web", "api and the entry point traefik"),
    // Removed in Traefik 3.
    ("experimental.http3", "entryPoints.<name>.http3 alone"),
    ("experimental.hub", ""),
    ("hub", ""),
    ("metrics.influxDB", "metrics.influxDB2"),
    ("pilot", ""),
    ("providers.consul.namespace", "providers.consul.namespaces"),
    (
        "providers.consulCatalog.namespace",
        "providers.consulCatalog.namespaces",
    ),
    ("providers.docker.swarmMode", "providers.swarm"),
    (
        "providers.docker.swarmModeRefreshSeconds",
        "providers.swarm.refreshSeconds",
    ),
    ("providers.marathon", ""),
    ("providers.nomad.namespace", "providers.nomad.namespaces"),
    ("providers.rancher", ""),
    ("tracing.datadog", "tracing.otlp"),
    ("tracing.elastic", "tracing.otlp"),
    ("tracing.haystack", "tracing.otlp"),
    ("tracing.instana", "tracing.otlp"),
    ("tracing.jaeger", "tracing.otlp"),
    ("tracing.spanNameLimit", ""),
    ("tracing.zipkin", "tracing.otlp"),
];

/// Traefik 1's choice between etcd's APIs.
const ETCD_API: &str = "providers.etcd.useAPIV3";

/// What to tell about a key that Traefik 3 has no more; `None` if no version had it.
pub(super) fn explain(path: &Path<'_>) -> Option<String> {
    let path = path.to_string();
    if is_at(ETCD_API, &path) {
        let told = "is a key of Traefik 1: etcd's v2 API is not spoken any more; keep the configuration as v3 keys \
                    (etcdctl put) and remove it";
        return Some(told.to_owned());
    }
    let (_, now) = FORMER.iter().find(|(former, _)| is_at(former, &path))?;
    Some(if now.is_empty() {
        "is a key of an earlier major version of Traefik that has gone; remove it".to_owned()
    } else {
        format!("is a key of an earlier major version of Traefik; its place now is {now}")
    })
}

fn is_at(former: &str, path: &str) -> bool {
    let (mut former, mut path) = (former.split('.'), path.split('.'));
    loop {
        match (former.next(), path.next()) {
            (None, None) => return true,
            (Some(one), Some(other)) if one == "*" || one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_keys_are_told_their_place_and_others_nothing() {
        let root = Path::ROOT;
        let told = |path: &Path<'_>| explain(path).unwrap_or_default();
        assert!(told(&root.key("defaultentrypoints")).contains("asDefault"));
        assert!(told(&root.key("pilot")).contains("remove it"));
        let entry_point = root.key("entryPoints");
        let entry_point = entry_point.key("web");
        assert!(told(&entry_point.key("redirect")).contains("http.redirections"));
        assert_eq!(explain(&entry_point.key("colour")), None);
        let etcd = root.key("providers");
        let etcd = etcd.key("etcd");
        assert!(told(&etcd.key("useApiV3")).contains("v2 API"));
        assert_eq!(explain(&root.key("entryPoints")), None);
    }
}
