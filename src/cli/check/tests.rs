//! Whole files through the command's library function.

use super::*;

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = text.replace("$DIR", directory.path().to_str().unwrap());
            std::fs::write(path, text).unwrap();
        }
        Self(directory)
    }

    fn check(&self, names: &[&str]) -> Report {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.0.path().join(name)).collect();
        check(&paths)
    }

    /// Findings without the directory's path.
    fn findings(&self, names: &[&str]) -> Vec<String> {
        let prefix = format!("{}/", self.0.path().display());
        self.check(names)
            .findings
            .iter()
            .map(|finding| finding.to_string().replace(&prefix, ""))
            .collect()
    }
}

const GOOD: &str = "http:
  routers:
    api:
      rule: Host(`a.test`)
      service: backend
  services:
    backend:
      loadBalancer:
        servers:
          - url: http://127.0.0.1:9001
";

#[test]
fn a_good_file_has_no_findings_and_is_counted() {
    let report = Files::new(&[("a.yml", GOOD)]).check(&["a.yml"]);
    assert_eq!(report.findings, []);
    assert_eq!(
        report.summary.sentence(),
        "1 file: 1 router, 1 service, 0 middlewares; 0 errors, 0 warnings"
    );
}

#[test]
fn a_broken_rule_is_shown_with_a_caret() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("Host(`a.test`)", "Host(`a.test`) && Pth(`/x`)"),
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    let lines: Vec<&str> = findings[0].lines().collect();
    assert!(
        lines[0].starts_with("a.yml:4:13: error: http.routers.api.rule: "),
        "{findings:#?}"
    );
    assert_eq!(lines[1], "    Host(`a.test`) && Pth(`/x`)");
    assert_eq!(lines[2].find('^'), lines[1].find("Pth"), "{findings:#?}");
}

#[test]
fn a_dangling_reference_suggests_what_exists() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("service: backend", "service: backnd"),
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].starts_with("a.yml:5:16: error: http.routers.api.service: "),
        "{findings:#?}"
    );
    assert!(
        findings[0].ends_with("did you mean \"backend\"?"),
        "{findings:#?}"
    );
}

#[test]
fn an_unknown_field_and_a_wrong_value_have_their_places() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("service: backend", "servce: backend\n      priority: high"),
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings[0].starts_with("a.yml:5:7: error: http.routers.api.servce"),
        "{findings:#?}"
    );
    assert!(
        findings[1].starts_with("a.yml:6:17: error: http.routers.api.priority"),
        "{findings:#?}"
    );
}

#[test]
fn a_syntax_error_shows_the_line() {
    let files = Files::new(&[
        ("a.yml", "http:\n  routers: {a: [}\n"),
        ("b.toml", "[http.routers\n"),
    ]);
    let findings = files.findings(&["a.yml", "b.toml"]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings[0].starts_with("a.yml:2:") && findings[0].contains('^'),
        "{findings:#?}"
    );
    assert!(findings[1].starts_with("b.toml:1:"), "{findings:#?}");
}

#[test]
fn a_template_is_refused_with_the_reason() {
    let findings = Files::new(&[("a.yml", "# x\nhttp: {{ range . }}\n")]).findings(&["a.yml"]);
    assert!(
        findings[0].starts_with("a.yml:2:1: error: Go template"),
        "{findings:#?}"
    );
}

#[test]
fn references_to_other_providers_are_warnings() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("service: backend", "service: app@docker"),
    )]);
    let report = files.check(&["a.yml"]);
    assert_eq!(
        (report.summary.errors, report.summary.warnings),
        (0, 1),
        "{:#?}",
        report.findings
    );
}

#[test]
fn a_static_file_is_checked_with_the_dynamic_files_it_names() {
    let files = Files::new(&[
        (
            "traefik.yml",
            "entryPoints:\n  web:\n    address: :80\nproviders:\n  file:\n    directory: $DIR/d\n",
        ),
        (
            "d/a.yml",
            &GOOD.replace("rule:", "entryPoints: [wep]\n      rule:"),
        ),
        ("d/sub/b.yml", "http:\n  routerz: {}\n"),
    ]);
    let findings = files.findings(&["traefik.yml"]);
    assert!(
        findings
            .iter()
            .any(|text| text.starts_with("d/a.yml:4:20: error: http.routers.api.entryPoints")),
        "{findings:#?}"
    );
    assert!(
        findings
            .iter()
            .any(|text| text.starts_with("d/sub/b.yml:2:3")),
        "{findings:#?}"
    );
    assert_eq!(files.check(&["traefik.yml"]).summary.files, 3);
}

#[test]
fn a_wrong_static_key_is_an_error_with_a_suggestion() {
    let files = Files::new(&[("traefik.yml", "entryPoint:\n  web:\n    address: :80\n")]);
    let findings = files.findings(&["traefik.yml"]);
    assert!(
        findings[0].starts_with("traefik.yml:1:1: error: "),
        "{findings:#?}"
    );
    assert!(findings[0].contains("entryPoints"), "{findings:#?}");
}

#[test]
fn files_given_together_refer_to_each_other_and_duplicates_are_told() {
    let (routers, services) = GOOD.split_once("  services:").unwrap();
    let files = Files::new(&[
        ("a.yml", routers),
        ("b.yml", &format!("http:\n  services:{services}")),
        ("c.yml", GOOD),
    ]);
    assert_eq!(files.findings(&["a.yml", "b.yml"]), Vec::<String>::new());
    let findings = files.findings(&["a.yml", "c.yml"]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].starts_with("c.yml:3:5: warning: http.routers.api: is defined"),
        "{findings:#?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_an_error() {
    let report = Files::new(&[]).check(&["missing.yml"]);
    assert_eq!(report.summary.errors, 1);
    assert!(report.findings[0].message.contains("cannot be read"));
}

#[test]
fn the_json_form_has_findings_and_summary() {
    let report =
        Files::new(&[("a.yml", &GOOD.replace("backend\n  s", "x\n  s"))]).check(&["a.yml"]);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["findings"][0]["severity"], "error");
    assert_eq!(json["findings"][0]["line"], 5);
    assert_eq!(json["summary"]["errors"], 1);
}

#[test]
fn a_router_points_to_its_broken_service_instead_of_repeating_its_errors() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("http://127.0.0.1:9001", "127.0.0.1:9001"),
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings[0].starts_with("a.yml:5:16: error: http.routers.api.service: "),
        "{findings:#?}"
    );
    assert!(
        findings[0].contains("\"backend@file\" is disabled by its own errors"),
        "{findings:#?}"
    );
    assert!(
        findings[1].contains("http.services.backend: "),
        "{findings:#?}"
    );
}

#[test]
fn a_dynamic_section_in_a_static_file_is_told_where_it_belongs() {
    let files = Files::new(&[(
        "a.yml",
        "entryPoints: {web: {address: ':80'}}\ntls: {options: {}}\n",
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].starts_with("a.yml:2:1: warning: tls: belongs to the dynamic configuration"),
        "{findings:#?}"
    );
}

#[test]
fn keys_of_traefik_1_outside_of_toml_are_told_their_present_place() {
    let files = Files::new(&[(
        "a.yml",
        "defaultEntryPoints: [http]\n\ndocker:\n  watch: true\n",
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings[0].contains("defaultEntryPoints: is a key of an earlier major version")
            && findings[0].contains("asDefault"),
        "{findings:#?}"
    );
    assert!(findings[1].contains("providers.docker"), "{findings:#?}");
}

#[test]
fn a_dynamic_file_that_exists_only_where_the_proxy_runs_is_a_warning() {
    let files = Files::new(&[(
        "a.yml",
        "providers: {file: {filename: /nowhere/dynamic.yml}}\n",
    )]);
    let report = files.check(&["a.yml"]);
    assert_eq!(report.summary.errors, 0, "{:#?}", report.findings);
    assert!(report.findings[0].message.contains("does not exist"));
}

#[test]
fn a_chain_points_to_its_broken_member_instead_of_repeating_its_errors() {
    let files = Files::new(&[(
        "a.yml",
        "http:\n  middlewares:\n    limit: {rateLimit: {average: 1}}\n    c: {chain: {middlewares: [limit]}}\n",
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 2, "{findings:#?}");
    assert!(
        findings[0].contains("rateLimit: this type"),
        "{findings:#?}"
    );
    assert!(
        findings[1]
            .contains("\"limit@file\" is disabled by its own errors, and this chain with it"),
        "{findings:#?}"
    );
}

#[test]
fn a_udp_entry_point_is_told_not_to_listen() {
    let files = Files::new(&[(
        "a.yml",
        "entryPoints: {web: {address: ':80'}, dns: {address: ':53/udp'}}\n",
    )]);
    let findings = files.findings(&["a.yml"]);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert!(
        findings[0].contains("warning: entryPoints.dns.address: UDP is not supported yet"),
        "{findings:#?}"
    );
}

#[test]
fn a_rule_in_the_language_of_traefik_2_is_remarked_on() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("Host(`a.test`)", "HostRegexp(`{sub:.+}`)"),
    )]);
    let text = files.findings(&["a.yml"]).join("\n");
    assert!(text.contains("templates are v2 syntax"), "{text}");
}

#[test]
fn a_router_with_tls_is_told_to_get_no_requests() {
    let files = Files::new(&[(
        "a.yml",
        &GOOD.replace("      service:", "      tls: {}\n      service:"),
    )]);
    let text = files.findings(&["a.yml"]).join("\n");
    assert!(text.contains("warning: http.routers.api.tls: "), "{text}");
}

#[test]
fn a_router_names_its_own_broken_middleware_when_another_has_the_same_error() {
    let files = Files::new(&[(
        "a.yml",
        "http:\n  routers:\n    r: {rule: Host(`a`), service: s, middlewares: [two]}\n    \
         q: {rule: Host(`b`), service: s, middlewares: [one]}\n  services:\n    \
         s: {loadBalancer: {servers: [{url: 'http://127.0.0.1:1'}]}}\n  middlewares:\n    \
         one: {rateLimit: {average: 1}}\n    two: {rateLimit: {average: 1}}\n",
    )]);
    let text = files.findings(&["a.yml"]).join("\n");
    assert!(
        text.contains("http.routers.r.middlewares: the middleware \"two@file\""),
        "{text}"
    );
    assert!(
        text.contains("http.routers.q.middlewares: the middleware \"one@file\""),
        "{text}"
    );
}

#[test]
fn what_no_router_names_is_told_without_failing_the_check() {
    let text = "http:
  services:
    s:
      loadBalancer:
        servers:
          - url: 127.0.0.1:9001
  middlewares:
    m: {redirectRegex: {regex: '(', replacement: x}}
";
    let files = Files::new(&[("a.yml", text)]);
    let report = files.check(&["a.yml"]);
    assert_eq!((report.summary.errors, report.summary.warnings), (0, 2));
    let findings = files.findings(&["a.yml"]).join("\n");
    assert!(findings.contains("a scheme is missing"), "{findings}");
}

#[test]
fn a_finding_has_no_secret() {
    let text = "http:
  services:
    s: {loadBalancer: {servers: [{url: 'http://ann:hunter2@h'}, {url: 'ann:hunter2@h'}, {url: 'foo://ann:hunter2@h'}]}}
  middlewares:
    m: {basicAuth: {users: [hunter2]}}
    n: {basicAuth: {users: {ann: hunter2}}}
    d: {digestAuth: {users: ['ann:hunter2']}}
";
    let findings = Files::new(&[("a.yml", text)]).findings(&["a.yml"]);
    assert!(findings.len() >= 5, "{findings:#?}");
    for finding in findings {
        assert!(!finding.contains("hunter2"), "{finding}");
    }
}

#[test]
fn a_traefik_1_file_is_checked_and_said_to_be_one() {
    let files = Files::new(&[(
        "traefik.toml",
        "[entryPoints.http]\naddress = ':8000'\n[file]\n[docker]\n\
         [backends.b.servers.s]\nurl = 'http://127.0.0.1:9001'\n\
         [frontends.f]\nbackend = 'b'\n[frontends.f.routes.r]\nrule = 'Host:a.test'\n\
         [frontends.g]\nbackend = 'b'\n[frontends.g.routes.r]\nrule = 'Hosst:a.test'\n",
    )]);
    let findings = files.findings(&["traefik.toml"]).join("\n");
    for part in [
        "is a Traefik 1 file",
        "docker: Ringway has no such provider",
        "frontends.g.routes.r.rule",
    ] {
        assert!(findings.contains(part), "{part}\n{findings}");
    }
    let summary = files.check(&["traefik.toml"]).summary;
    assert_eq!((summary.routers, summary.errors), (2, 1), "{findings}");
}
