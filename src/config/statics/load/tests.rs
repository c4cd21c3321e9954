//! Loading the static configuration from files, flags and the environment.

use std::collections::HashMap;

use super::super::{AccessLogFormat, Driver, LogLevel, Protocol, UnderscoreHeaders};
use super::*;
use crate::config::decode::Text;
use crate::config::duration::GoDuration;

/// Files by path.
struct Memory(HashMap<PathBuf, String>);

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

/// A machine to load from.
#[derive(Default)]
struct Machine {
    args: Vec<String>,
    env: Vec<(String, String)>,
    files: HashMap<PathBuf, String>,
}

impl Machine {
    fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.into(), text.to_owned());
        self
    }

    fn load(self) -> Result<Loaded, LoadError> {
        load(&self.args, &self.env, &Memory(self.files))
    }
}

fn yaml(text: &str) -> Result<Loaded, LoadError> {
    Machine::default().file("./traefik.yml", text).load()
}

fn errors(text: &str) -> Vec<ObjectError> {
    match yaml(text) {
        Err(LoadError::Invalid { errors, .. }) => errors,
        other => panic!("expected errors of {text:?}, got {other:?}"),
    }
}

fn paths(found: &[ObjectError]) -> Vec<&str> {
    found.iter().map(|error| error.path.as_str()).collect()
}

#[test]
fn a_file_wins_over_flags_and_flags_over_the_environment() {
    let machine = || Machine::default().env("TRAEFIK_LOG_LEVEL", "WARN");
    let file = "log: {level: INFO}\n";
    for (machine, level, source) in [
        (
            machine()
                .arg("--log.level=DEBUG")
                .file("./traefik.yml", file),
            LogLevel::Info,
            Source::File("./traefik.yml".into()),
        ),
        (
            machine().arg("--log.level=DEBUG"),
            LogLevel::Debug,
            Source::Flags,
        ),
        (machine(), LogLevel::Warn, Source::Environment),
        (Machine::default(), LogLevel::Error, Source::Defaults),
        (
            Machine::default().env("RINGWAY_LOG_LEVEL", "trace"),
            LogLevel::Trace,
            Source::Environment,
        ),
    ] {
        let loaded = machine.load().unwrap();
        assert_eq!((loaded.config.log.level, loaded.source), (level, source));
    }
}

#[test]
fn files_are_looked_for_where_traefik_looks_and_under_our_name() {
    let places = [
        "/etc/traefik/traefik.toml",
        "/etc/traefik/traefik.yml",
        "/etc/ringway/ringway.yml",
        "/xdg/traefik.yaml",
        "/home/me/.config/ringway.toml",
        "./traefik.toml",
        "./ringway.yml",
    ];
    // Each place is found when those before it are empty.
    for (index, place) in places.iter().enumerate() {
        let mut machine = Machine::default()
            .env("XDG_CONFIG_HOME", "/xdg")
            .env("HOME", "/home/me");
        for later in &places[index..] {
            let text = if later.ends_with("toml") {
                "[log]\nlevel = 'INFO'\n"
            } else {
                "log: {level: INFO}\n"
            };
            machine = machine.file(later, text);
        }
        assert_eq!(machine.load().unwrap().source, Source::File(place.into()));
    }
}

#[test]
fn a_named_file_is_the_only_one_looked_at() {
    let other = |machine: Machine| machine.file("./traefik.yml", "log: {level: DEBUG}\n");
    for machine in [
        Machine::default().arg("--configFile=/c/my.yml"),
        Machine::default()
            .arg("--CONFIGFILE")
            .arg("$DIR/my.yml")
            .env("DIR", "/c"),
        Machine::default().env("TRAEFIK_CONFIGFILE", "/c/my.yml"),
        Machine::default().env("RINGWAY_CONFIGFILE", "/c/my.yml"),
    ] {
        let machine = other(machine).file("/c/my.yml", "log: {level: INFO}\n");
        assert_eq!(machine.load().unwrap().config.log.level, LogLevel::Info);
    }
    let missing = other(Machine::default().arg("--configFile=/none.yml")).load();
    assert!(matches!(missing, Err(LoadError::Read { .. })));
    let strange = Machine::default()
        .arg("--configFile=/c/x.conf")
        .file("/c/x.conf", "a")
        .load();
    assert!(matches!(strange, Err(LoadError::Format(_))));
}

#[test]
fn an_entry_point_is_there_even_if_none_is_configured() {
    let addresses = |text: &str| -> Vec<String> {
        let config = yaml(text).unwrap().config;
        let entry_points = config.entry_points.iter();
        entry_points
            .map(|(name, entry_point)| format!("{name}={}", entry_point.address))
            .collect()
    };
    assert_eq!(addresses("log: {}"), ["http=:80"]);
    assert_eq!(
        addresses("api: {insecure: true}"),
        ["http=:80", "traefik=:8080"]
    );
    assert_eq!(addresses("api: {}"), ["http=:80"]);
    assert_eq!(
        addresses("ping: {}\nentryPoints: {web: {address: ':81'}}"),
        ["traefik=:8080", "web=:81"]
    );
    assert_eq!(addresses("ping: {manualRouting: true}"), ["http=:80"]);
    assert_eq!(
        addresses("ping: {entryPoint: web}\nentryPoints: {web: {address: ':81'}}"),
        ["web=:81"]
    );
    assert_eq!(
        addresses("api: {insecure: true}\nentryPoints: {traefik: {address: ':82'}}"),
        ["traefik=:82"]
    );
}

#[test]
fn a_full_configuration_decodes_from_yaml_toml_flags_and_environment_alike() {
    let text = "
entryPoints:
  web:
    address: 127.0.0.1:8000
    asDefault: true
    reusePort: true
    transport:
      lifeCycle: {graceTimeOut: 3}
      respondingTimeouts: {readTimeout: 5s, idleTimeout: 1m30s}
      keepAliveMaxRequests: 100
    proxyProtocol: {trustedIPs: [10.0.0.0/8]}
    forwardedHeaders: {trustedIPs: '127.0.0.1,::1'}
    http:
      middlewares: [a@file, b@file]
      sanitizePath: false
      maxHeaderBytes: 65536
      underscoreHeadersStrategy: delete
      redirections: {entryPoint: {to: sec, permanent: false}}
      encodedCharacters: {allowEncodedSlash: false}
    observability: {metrics: false}
  sec: {address: ':8443'}
  dns: {address: ':53/udp'}
providers:
  providersThrottleDuration: 100ms
  precedence: [File, docker]
  file: {directory: /etc/dyn, watch: false}
api: {dashboard: false, basePath: /x}
accessLog: {format: json, fields: {headers: {defaultMode: keep, names: {Authorization: redact}}}}
serversTransport: {maxIdleConnsPerHost: 7, forwardingTimeouts: {dialTimeout: 1}}
ringway: {shards: 2, driver: uring, startupTimeout: 3s, limits: {maxConnections: 5}}
";
    let check = |loaded: Loaded| {
        let warnings: Vec<&str> = loaded
            .warnings
            .iter()
            .map(|warning| &*warning.path)
            .collect();
        assert_eq!(warnings, ["entryPoints.dns.address"]);
        let config = loaded.config;
        let web = &config.entry_points["web"];
        assert_eq!(web.address.port(), 8000);
        assert!(web.as_default && web.reuse_port);
        assert_eq!(
            web.transport.life_cycle.grace_time_out,
            GoDuration::from_secs(3)
        );
        assert_eq!(
            web.transport.responding_timeouts.read_timeout,
            GoDuration::from_secs(5)
        );
        assert_eq!(
            web.transport.responding_timeouts.idle_timeout,
            GoDuration::from_secs(90)
        );
        assert_eq!(
            web.transport.responding_timeouts.write_timeout,
            GoDuration::ZERO
        );
        assert_eq!(web.transport.keep_alive_max_requests, 100);
        assert_eq!(web.forwarded_headers.trusted_ips.len(), 2);
        assert_eq!(web.http.middlewares.len(), 2);
        assert!(!web.http.sanitize_path);
        assert_eq!(web.http.max_header_bytes, 65536);
        assert_eq!(
            web.http.underscore_headers_strategy,
            UnderscoreHeaders::Delete
        );
        let redirect = web
            .http
            .redirections
            .as_ref()
            .unwrap()
            .entry_point
            .as_ref()
            .unwrap();
        assert_eq!(
            (&*redirect.to, &*redirect.scheme, redirect.permanent),
            ("sec", "https", false)
        );
        let characters = web.http.encoded_characters.as_ref().unwrap();
        assert!(!characters.allow_encoded_slash && characters.allow_encoded_hash);
        let observability = web.observability.as_ref().unwrap();
        assert!(!observability.metrics && observability.access_logs);
        assert_eq!(config.entry_points["dns"].address.protocol(), Protocol::Udp);
        assert_eq!(
            config.providers.providers_throttle_duration,
            GoDuration::from_millis(100)
        );
        assert_eq!(
            &*config.providers.precedence,
            ["file", "docker"].map(Text::from)
        );
        let file = config.providers.file.unwrap();
        assert_eq!((&*file.directory, file.watch), ("/etc/dyn", false));
        let api = config.api.unwrap();
        assert_eq!(
            (&*api.base_path, api.dashboard, api.insecure),
            ("/x", false, false)
        );
        assert_eq!(config.access_log.unwrap().format, AccessLogFormat::Json);
        assert_eq!(config.servers_transport.max_idle_conns_per_host, 7);
        let timeouts = &config.servers_transport.forwarding_timeouts;
        assert_eq!(timeouts.dial_timeout, GoDuration::from_secs(1));
        assert_eq!(timeouts.idle_conn_timeout, GoDuration::from_secs(90));
        assert_eq!(
            (config.ringway.shards, config.ringway.driver),
            (2, Driver::Uring)
        );
        assert_eq!(config.ringway.limits.max_connections, 5);
    };
    check(yaml(text).unwrap());

    // The same settings as paths.
    let tree = parse(Format::Yaml, text).unwrap().tree;
    let mut settings = Vec::new();
    flatten(&tree, &mut Vec::new(), &mut settings);
    let mut flags = Machine::default();
    let mut vars = Machine::default();
    for (path, value) in &settings {
        flags = flags.arg(&format!("--{}={value}", path.join(".")));
        vars = vars.env(&format!("TRAEFIK_{}", path.join("_").to_uppercase()), value);
    }
    let flags = flags.load().unwrap();
    assert_eq!(flags.source, Source::Flags);
    check(flags);
    let vars = vars.load().unwrap();
    assert_eq!(vars.source, Source::Environment);
    check(vars);
}

fn flatten(node: &Node<'_>, path: &mut Vec<String>, settings: &mut Vec<(Vec<String>, String)>) {
    for entry in node.as_map().unwrap_or_default() {
        path.push(entry.key.to_string());
        match (entry.node.as_scalar(), entry.node.as_list()) {
            (Some(text), _) => settings.push((path.clone(), text.to_owned())),
            (_, Some(items)) => {
                let items: Vec<_> = items.iter().filter_map(Node::as_scalar).collect();
                settings.push((path.clone(), items.join(",")));
            }
            _ => flatten(&entry.node, path, settings),
        }
        path.pop();
    }
}

#[test]
fn presence_keys_may_be_empty_and_others_not() {
    let api = |text| yaml(text).unwrap().config.api.is_some();
    assert!(api("api: {}\n"));
    assert!(api("api: true\n"));
    assert!(!api("api: false\nlog: {}\n"));
    assert!(!api("api:\nlog: {}\n"));
    assert_eq!(paths(&errors("providers: {}\n")), ["providers"]);
    assert_eq!(
        paths(&errors("entryPoints: {web: {address: ':80', http: {}}}\n")),
        ["entryPoints.web.http"]
    );
}

#[test]
fn keys_that_only_traefik_supports_are_warnings_and_unknown_ones_errors() {
    let loaded =
        yaml("metrics: {prometheus: {}}\nproviders: {docker: {}}\nlog: {level: INFO}\n").unwrap();
    assert_eq!(paths(&loaded.warnings), ["metrics", "providers.docker"]);
    let errors = errors("entryPoints:\n  web:\n    adress: ':80'\nlogg: {}\n");
    let told: Vec<_> = errors
        .iter()
        .map(|error| {
            (
                error.path.as_str(),
                error.suggestion.as_deref(),
                error.position.line,
            )
        })
        .collect();
    assert_eq!(
        told[..2],
        [
            ("entryPoints.web.adress", Some("address"), 3),
            ("logg", Some("log"), 4)
        ]
    );
}

#[test]
fn dynamic_sections_may_stand_in_the_same_file() {
    let text = "http: {routers: {}}\ntls: {}\nx-anchors: {}\nlog: {level: INFO}\n";
    assert_eq!(paths(&yaml(text).unwrap().warnings), ["http", "tls"]);
    for file in ["filename: traefik.yml", "directory: ."] {
        let text = format!("{text}providers: {{file: {{{file}}}}}\n");
        assert_eq!(paths(&yaml(&text).unwrap().warnings), [""; 0], "{file}");
    }
}

#[test]
fn every_wrong_value_is_told_with_its_path() {
    let text = "
entryPoints:
  web:
    address: nonsense
    forwardedHeaders: {trustedIPs: [10.0.0.0/33]}
    transport: {respondingTimeouts: {readTimeout: -1s}}
log: {level: LOUD}
";
    let errors = errors(text);
    assert_eq!(
        paths(&errors),
        [
            "entryPoints.web.address",
            "entryPoints.web.transport.respondingTimeouts.readTimeout",
            "log.level"
        ]
    );
    assert!(errors[2].message.contains("TRACE, DEBUG"), "{}", errors[2]);
}

#[test]
fn options_are_checked_against_each_other() {
    for (text, path) in [
        ("entryPoints: {a: {asDefault: true}}", "entryPoints.a"),
        (
            "entryPoints: {a: {address: ':1', forwardedHeaders: {trustedIPs: [10.0.0.0/33]}}}",
            "entryPoints.a.forwardedHeaders.trustedIPs[0]",
        ),
        (
            "entryPoints: {a: {address: ':1', proxyProtocol: {trustedIPs: [x]}}}",
            "entryPoints.a.proxyProtocol.trustedIPs[0]",
        ),
        (
            "entryPoints: {a: {address: ':1', http: {redirections: {entryPoint: {to: b}}}}}",
            "entryPoints.a.http.redirections.entryPoint.to",
        ),
        (
            "entryPoints: {a: {address: ':1', http: {redirections: {entryPoint: {to: ':x'}}}}}",
            "entryPoints.a.http.redirections.entryPoint.to",
        ),
        (
            "entryPoints: {a: {address: ':1', http: {underscoreHeadersStrategy: eat}}}",
            "entryPoints.a.http.underscoreHeadersStrategy",
        ),
        (
            "providers: {precedence: [file, dokker]}",
            "providers.precedence[1]",
        ),
        ("providers: {file: {watch: true}}", "providers.file"),
        ("api: {basePath: 'a b'}", "api.basePath"),
        ("ping: {entryPoint: nope}", "ping.entryPoint"),
        (
            "ping: {terminatingStatusCode: 7}",
            "ping.terminatingStatusCode",
        ),
        ("core: {defaultRuleSyntax: v4}", "core.defaultRuleSyntax"),
        ("ringway: {driver: iocp}", "ringway.driver"),
        (
            "ringway: {limits: {maxHeaderCount: 0}}",
            "ringway.limits.maxHeaderCount",
        ),
        (
            "ringway: {limits: {maxHeaderCount: 1001}}",
            "ringway.limits.maxHeaderCount",
        ),
        (
            "ringway: {limits: {maxHeldMemoryBytes: -1}}",
            "ringway.limits.maxHeldMemoryBytes",
        ),
        (
            "ringway: {limits: {maxReceiveMemoryBytes: 1000}}",
            "ringway.limits.maxReceiveMemoryBytes",
        ),
        ("accessLog: {format: xml}", "accessLog.format"),
    ] {
        assert_eq!(paths(&errors(text)), [path], "{text}");
    }
    for text in [
        "entryPoints: {a: {address: ':1', http: {redirections: {entryPoint: {to: ':443'}}}}}",
        "entryPoints: {a: {address: ':1', forwardedHeaders: {trustedIPs: [10.0.0.0/8, '::1']}}}",
    ] {
        assert!(yaml(text).is_ok(), "{text}");
    }
}

#[test]
fn errors_name_file_line_and_reason() {
    let error = yaml("log:\n  levle: INFO\n").unwrap_err().to_string();
    assert_eq!(
        error,
        "./traefik.yml:2:3: log.levle: no such field, did you mean \"level\"?"
    );
    let error = yaml("log: {level: INFO\n").unwrap_err();
    assert!(matches!(error, LoadError::Syntax { .. }));
    assert!(error.to_string().starts_with("./traefik.yml:"), "{error}");
    let error = Machine::default()
        .arg("--log.levle=INFO")
        .load()
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "flags: log.levle: no such field, did you mean \"level\"?"
    );
}

#[test]
fn an_empty_file_is_an_error() {
    for text in ["", "# nothing\n", "[]\n"] {
        assert_eq!(paths(&errors(text)), ["(top)"], "{text:?}");
    }
}

#[test]
fn an_entry_point_prints_as_traefiks_api_prints_it() {
    let config = yaml("entryPoints: {web: {address: ':80'}}").unwrap().config;
    assert_eq!(
        serde_json::to_string(&config.entry_points["web"]).unwrap(),
        concat!(
            r#"{"address":":80","transport":{"lifeCycle":{"graceTimeOut":"10s"},"#,
            r#""respondingTimeouts":{"readTimeout":"1m0s","idleTimeout":"3m0s"}},"forwardedHeaders":{},"#,
            r#""http":{"sanitizePath":true,"maxHeaderBytes":1048576,"underscoreHeadersStrategy":"keep"},"#,
            r#""http2":{"maxConcurrentStreams":250,"maxDecoderHeaderTableSize":4096,"maxEncoderHeaderTableSize":4096},"#,
            r#""udp":{"timeout":"3s"}}"#
        )
    );
}
