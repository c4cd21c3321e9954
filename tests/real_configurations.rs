//! What configurations in public repositories taught (docs/real-configurations.md): the forms that people
//! really write are accepted, with warnings that name what has no effect yet, or refused with a reason.

mod support;

use support::origin::answering;
use support::process::{answer, bare, ringway, text};

/// The exit code and findings of `check` on files.
fn check(files: &[(&str, &str)]) -> (i32, String) {
    let setup = files
        .iter()
        .fold(bare(), |setup, (name, text)| setup.file(name, text));
    let paths: Vec<String> = files
        .iter()
        .map(|(name, _)| setup.path().join(name).display().to_string())
        .collect();
    let arguments: Vec<&str> = ["check"]
        .into_iter()
        .chain(paths.iter().map(|path| &**path))
        .collect();
    let output = ringway(&arguments);
    (output.status.code().unwrap_or(-1), text(&output))
}

#[track_caller]
fn accepted(files: &[(&str, &str)], warnings: &[&str]) {
    let (code, text) = check(files);
    assert_eq!(code, 0, "{text}");
    for warning in warnings {
        let told = text
            .lines()
            .any(|line| line.contains("warning") && line.contains(warning));
        assert!(told, "{warning} is not told:\n{text}");
    }
}

#[track_caller]
fn refused(files: &[(&str, &str)], reasons: &[&str]) {
    let (code, text) = check(files);
    assert_eq!(code, 1, "{text}");
    for reason in reasons {
        assert!(text.contains(reason), "{reason:?} is not told:\n{text}");
    }
}

#[test]
fn a_home_labs_static_file_with_containers_and_certificates_is_accepted() {
    let file = "global:\n  checkNewVersion: true\n  sendAnonymousUsage: false\n\
                api:\n  dashboard: true\n  insecure: true\n\
                entryPoints:\n  web:\n    address: :80\n    http:\n      redirections:\n        entryPoint:\n          to: websecure\n          scheme: https\n  \
                websecure:\n    address: :443\n    http:\n      tls:\n        certResolver: le\n\
                providers:\n  docker:\n    endpoint: \"unix:///var/run/docker.sock\"\n    exposedByDefault: false\n  \
                file:\n    directory: /somewhere/dynamic\n    watch: true\n\
                certificatesResolvers:\n  le:\n    acme:\n      email: me@example.org\n      storage: acme.json\n      httpChallenge:\n        entryPoint: web\n";
    accepted(
        &[("traefik.yml", file)],
        &[
            "providers.docker",
            "certificatesResolvers",
            "entryPoints.websecure.http.tls",
            "/somewhere/dynamic does not exist",
        ],
    );
}

#[test]
fn the_same_in_toml_with_sections_in_sections_is_accepted() {
    let file = "[entryPoints]\n  [entryPoints.web]\n    address = \":8000\"\n    \
                [entryPoints.web.http.redirections.entryPoint]\n      to = \"websecure\"\n      scheme = \"https\"\n  \
                [entryPoints.websecure]\n  address = \":8443\"\n  [entryPoints.relay]\n    address = \":6000/udp\"\n\
                [log]\n  level = \"INFO\"\n[accessLog]\n[ping]\n[api]\n  dashboard = true\n";
    accepted(
        &[("traefik.toml", file)],
        &["entryPoints.relay.address: UDP is not supported yet"],
    );
}

#[test]
fn an_access_log_with_filters_and_fields_is_accepted_without_a_word() {
    let file = "entryPoints: {web: {address: ':80'}}\nlog: {level: info, format: json}\n\
                accessLog:\n  filePath: /tmp/access.log\n  format: json\n  bufferingSize: 0\n  \
                filters:\n    statusCodes:\n      - \"200\"\n      - \"400-599\"\n    retryAttempts: true\n    minDuration: \"10ms\"\n  \
                fields:\n    headers:\n      defaultMode: drop\n      names:\n        User-Agent: keep\n";
    let (code, text) = check(&[("traefik.yml", file)]);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("warning:"), "{text}");
}

#[test]
fn a_static_file_with_a_dynamic_section_is_still_a_static_file() {
    let file = "entryPoints: {web: {address: ':80'}}\nproviders: {docker: {}}\n\
                tls:\n  options:\n    default:\n      minVersion: VersionTLS12\n";
    accepted(
        &[("traefik.yml", file)],
        &["tls: belongs to the dynamic configuration"],
    );
}

#[test]
fn a_file_that_is_its_own_dynamic_file_is_read_as_both() {
    let origin = answering(answer("one"));
    let file = format!(
        "entryPoints: {{web: {{address: \"127.0.0.1:0\"}}}}\nlog: {{level: INFO}}\n\
         providers: {{file: {{filename: \"{{dir}}/both.yml\"}}}}\n{}",
        origin.config()
    );
    let proxy = bare()
        .file("both.yml", &file)
        .argument("--configFile={dir}/both.yml")
        .start();
    assert_eq!(proxy.get("a.test", "/").text(), "one");
}

#[test]
fn a_file_of_version_one_is_accepted_and_says_what_of_it_has_no_effect() {
    let file = "defaultEntryPoints = [\"http\", \"https\"]\n\
                [entryPoints]\n  [entryPoints.http]\n  address = \":80\"\n    [entryPoints.http.redirect]\n    entryPoint = \"https\"\n  \
                [entryPoints.https]\n  address = \":443\"\n    [entryPoints.https.tls]\n\
                [docker]\nwatch = true\n[acme]\nemail = \"me@example.org\"\n";
    accepted(
        &[("traefik.toml", file)],
        &[
            "is a Traefik 1 file",
            "entryPoints.https.http.tls: is known but has no effect yet",
            "docker: Ringway has no such provider",
            "the place is certificatesResolvers",
        ],
    );
}

#[test]
fn keys_of_version_one_in_a_language_it_did_not_read_are_told_their_present_place() {
    let file = "defaultEntryPoints: [http]\nentryPoints: {http: {address: ':80', redirect: {entryPoint: https}}}\n";
    refused(
        &[("traefik.yml", file)],
        &[
            "defaultEntryPoints: is a key of an earlier major version of Traefik",
            "entryPoints.<name>.http.redirections",
        ],
    );
}

#[test]
fn keys_that_version_three_removed_are_told_what_took_their_place() {
    let file = "pilot: {token: x}\nentryPoints: {web: {address: ':80'}}\n\
                providers: {docker: {swarmMode: true}}\ntracing: {jaeger: {}}\nmetrics: {influxDB: {address: x}}\n";
    refused(
        &[("traefik.yml", file)],
        &[
            "pilot: ",
            "remove it",
            "providers.swarm",
            "tracing.otlp",
            "metrics.influxDB2",
        ],
    );
}

#[test]
fn rules_of_version_two_are_remarked_on() {
    let dynamic = "http:\n  routers:\n    all:\n      rule: \"HostRegexp(`{host:.+}`)\"\n      service: noop@internal\n      middlewares: [https]\n  \
                   middlewares:\n    https:\n      redirectScheme: {scheme: https}\n";
    accepted(&[("dynamic.yml", dynamic)], &["templates are v2 syntax"]);
    accepted(
        &[(
            "old.yml",
            &dynamic.replace("      service:", "      ruleSyntax: v2\n      service:"),
        )],
        &[],
    );
    refused(
        &[(
            "list.yml",
            "http: {routers: {r: {rule: \"Host(`a.test`, `b.test`)\", service: noop@internal}}}\n",
        )],
        &["Host(`a.test`) || Host(`b.test`)"],
    );
}

#[test]
fn security_headers_as_everybody_writes_them_are_accepted() {
    let dynamic = "http:\n  middlewares:\n    secure:\n      headers:\n        sslRedirect: true\n        \
                   browserXssFilter: true\n        contentTypeNosniff: true\n        forceSTSHeader: true\n        \
                   stsIncludeSubdomains: true\n        stsPreload: true\n        stsSeconds: 31536000\n        \
                   customFrameOptionsValue: SAMEORIGIN\n        referrerPolicy: same-origin\n        \
                   hostsProxyHeaders: [X-Forwarded-Host]\n        accessControlAllowMethods: [GET, OPTIONS]\n        \
                   accessControlMaxAge: 100\n        customResponseHeaders:\n          X-Robots-Tag: none\n          server: \"\"\n";
    accepted(
        &[("dynamic.yml", dynamic)],
        &["headers.sslRedirect: is deprecated"],
    );
}

#[test]
fn a_router_on_tls_is_told_to_get_no_requests_yet() {
    let dynamic = "http:\n  routers:\n    app:\n      rule: Host(`app.example.org`) && PathPrefix(`/api`)\n      entryPoints: [websecure]\n      service: app\n      \
                   tls:\n        certResolver: le\n  services:\n    app:\n      loadBalancer:\n        servers:\n          - url: \"http://app:8080\"\n\
                   tls:\n  options:\n    modern: {minVersion: VersionTLS13}\n";
    accepted(
        &[("dynamic.yml", dynamic)],
        &[
            "http.routers.app.tls: TLS is not supported yet",
            "tls.options",
        ],
    );
}

#[test]
fn a_middleware_that_is_not_supported_yet_is_named_with_the_chain_and_the_router_that_need_it() {
    let dynamic = "http:\n  routers:\n    app: {rule: Host(`a.test`), service: api@internal, middlewares: [guarded]}\n  \
                   middlewares:\n    auth: {forwardAuth: {address: \"http://auth:9091/verify\", trustForwardHeader: true}}\n    \
                   limit: {rateLimit: {average: 100, burst: 50}}\n    guarded: {chain: {middlewares: [auth]}}\n";
    refused(
        &[("dynamic.yml", dynamic)],
        &[
            "http.middlewares.auth.forwardAuth: this type of middleware is not supported yet",
            "the middleware \"auth@file\" is disabled by its own errors, and this chain with it",
            "http.routers.app.middlewares: ",
        ],
    );
}

#[test]
fn a_file_with_templates_is_refused_as_such() {
    let dynamic = "http:\n  routers:\n    app:\n      rule: 'Host(`{{ env \"DOMAIN\" }}`)'\n      service: app\n";
    refused(&[("dynamic.yml", dynamic)], &[":4:", "template"]);
}

#[test]
fn a_file_with_wrong_indentation_points_at_the_line() {
    let dynamic =
        "http:\n  middlewares:\n        one:\n      forwardAuth:\n        address: http://a\n";
    refused(
        &[("dynamic.yml", dynamic)],
        &["dynamic.yml:4:7: error: ", "^"],
    );
}

#[test]
fn tcp_routers_beside_http_ones_are_accepted_with_a_warning() {
    let dynamic = "http:\n  routers:\n    app: {rule: \"PathPrefix(`/`)\", service: app}\n  services:\n    \
                   app: {loadBalancer: {servers: [{url: \"http://127.0.0.1:1\"}]}}\n\
                   tcp:\n  routers:\n    mqtt: {rule: \"HostSNI(`*`)\", service: mqtt, entryPoints: [mqtt]}\n  \
                   services:\n    mqtt: {loadBalancer: {servers: [{address: \"broker:1883\"}]}}\n";
    accepted(
        &[("dynamic.yml", dynamic)],
        &["tcp.routers.mqtt: not supported yet"],
    );
}

#[test]
fn frontends_in_a_file_of_their_own_know_the_static_files_entry_points() {
    let statics = "logLevel = \"INFO\"\n[entryPoints.plain]\naddress = \":8000\"\n[entryPoints.edge]\naddress = \":8443\"\n\
                   [file]\nfilename = \"{dir}/rules.toml\"\n";
    let rules = "[backends.b.servers.s]\nurl = \"http://10.0.0.1\"\n\
                 [frontends.f]\nbackend = \"b\"\nentryPoints = [\"plain\"]\n\
                 [frontends.f.redirect]\nentryPoint = \"edge\"\n[frontends.f.routes.r]\nrule = \"Host:a.test\"\n";
    for (name, code) in [("edge", 0), ("nowhere", 1)] {
        let rules = rules.replace("\"edge\"", &format!("\"{name}\""));
        let setup = bare()
            .file("traefik.toml", statics)
            .file("rules.toml", &rules);
        let path = setup.path().join("traefik.toml").display().to_string();
        let output = ringway(&["check", &path]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert_eq!(
            text.contains("frontends.f.redirect.entryPoint"),
            code == 1,
            "{text}"
        );
    }
}
