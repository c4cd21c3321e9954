//! A configuration that is edited step by step. Every object carries its version to where it can be seen, so
//! that a request shows which configuration it met: routers and middlewares in header fields, services in
//! the path. Not for: compiling it (`history`).

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::choices::Choices;

/// Routers, services, middlewares and origins that there may be.
pub const ROUTERS: usize = 4;
const SERVICES: usize = 3;
const MIDDLEWARES: usize = 3;
pub const ORIGINS: usize = 4;
/// Attempts of a `retry`.
pub const ATTEMPTS: u32 = 3;
/// Bytes that a limiting `buffering` lets through.
pub const BUFFERED: usize = 20_000;
/// Who may log in where a route asks for a name: this user, with the password `pw`.
pub const USER: &str = "bob";

/// What a router does around the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// Nothing.
    None,
    /// Sends again after a failure.
    Retry,
    /// The same, also methods that may not be repeated.
    RetryAll,
    /// Holds bodies.
    Buffering,
    /// Holds bodies up to a limit.
    Limit,
    /// Replaces errors by pages of another service.
    Errors,
    /// The same, once sending again has not helped.
    RetryErrors,
    /// Asks for a password, whose hash is a quick one.
    Auth,
    /// The same; looking at the password takes time, in another thread.
    SlowAuth,
}

impl Around {
    /// Whether errors are replaced.
    pub fn replaces_errors(self) -> bool {
        matches!(self, Around::Errors | Around::RetryErrors)
    }

    /// Whether requests need a password.
    pub fn asks_for_password(self) -> bool {
        matches!(self, Around::Auth | Around::SlowAuth)
    }

    /// Middlewares behind the ones that label.
    fn middlewares(self) -> &'static str {
        match self {
            Around::None => "",
            Around::Retry => ", retry",
            Around::RetryAll => ", retry-all",
            Around::Buffering => ", buffering",
            Around::Limit => ", limit",
            Around::Errors => ", errors",
            Around::RetryErrors => ", errors, retry",
            Around::Auth => ", auth",
            Around::SlowAuth => ", slow-auth",
        }
    }
}

/// What the client is shown where an error of this status was replaced.
pub fn shown_status(status: u16) -> u16 {
    match status {
        502 | 503 => 418,
        status => status,
    }
}

/// A server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Which origin; one more than there are: nobody listens there.
    pub origin: usize,
    /// Its share; a server without any gets nothing.
    pub weight: usize,
    /// Whether it is given by its name.
    pub named: bool,
}

/// A service as requests meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The service and its version, as the path tells it.
    pub label: String,
    /// Its servers.
    pub servers: Vec<Server>,
}

impl Target {
    /// Whether there is no server that could be chosen.
    pub fn is_dead(&self) -> bool {
        self.servers.iter().all(|server| server.weight == 0)
    }
}

/// What a request's labels say about the configuration that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    /// The router's version, as its own middleware tells it.
    pub router: String,
    /// The middleware and its version.
    pub middleware: String,
    /// The service and its version, as the path tells it.
    pub service: String,
}

/// A router as requests meet it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The router's version, as its own middleware tells it.
    pub router: String,
    /// The middleware and its version.
    pub middleware: String,
    /// What it does around its service.
    pub around: Around,
    /// Its service.
    pub service: Target,
}

impl Route {
    /// Whether a request with these labels met this route, and of it the given service.
    pub fn is_met(&self, labels: &Labels, service: &Target) -> bool {
        self.router == labels.router
            && self.middleware == labels.middleware
            && service.label == labels.service
    }
}

/// The address of an origin.
pub fn origin_address(n: usize) -> SocketAddr {
    ([10, 0, 1, n as u8], 80).into()
}

/// The origin with a name.
pub fn origin_named(host: &str) -> usize {
    let number = host
        .strip_prefix('o')
        .and_then(|rest| rest.strip_suffix(".test"));
    number
        .and_then(|number| number.parse().ok())
        .expect("a name that the draft has made")
}

#[derive(Clone, Copy, Debug)]
struct Router {
    version: u32,
    around: Around,
    middleware: usize,
    service: usize,
}

#[derive(Clone, Debug)]
struct Service {
    version: u32,
    servers: Vec<Server>,
    p2c: bool,
}

/// A configuration that is being edited.
pub struct Draft {
    choices: Choices,
    calm: bool,
    routers: Vec<Option<Router>>,
    services: Vec<Service>,
    pages: Service,
    middlewares: Vec<u32>,
    version: u32,
}

impl Draft {
    /// The first configuration. A calm one never removes a router or a name, and names no dead server.
    pub fn new(mut choices: Choices, calm: bool) -> Draft {
        let routers = (0..ROUTERS)
            .map(|_| Some(Self::router(&mut choices, 1)))
            .collect();
        let services = (0..SERVICES)
            .map(|_| Self::service(&mut choices, 1, calm))
            .collect();
        Draft {
            routers,
            services,
            pages: Self::service(&mut choices, 1, calm),
            middlewares: vec![1; MIDDLEWARES],
            choices,
            calm,
            version: 1,
        }
    }

    fn router(choices: &mut Choices, version: u32) -> Router {
        Router {
            version,
            around: choices.pick(&[
                Around::None,
                Around::None,
                Around::None,
                Around::Retry,
                Around::Retry,
                Around::RetryAll,
                Around::Buffering,
                Around::Limit,
                Around::Errors,
                Around::RetryErrors,
                Around::Auth,
                Around::SlowAuth,
            ]),
            middleware: choices.below(MIDDLEWARES as u64) as usize,
            service: choices.below(SERVICES as u64) as usize,
        }
    }

    fn service(choices: &mut Choices, version: u32, calm: bool) -> Service {
        // One origin more than there are: nobody listens there.
        let known = ORIGINS + usize::from(!calm && choices.chance(1, 4));
        let mut origins: Vec<usize> = (0..known).filter(|_| choices.chance(1, 2)).collect();
        if origins.is_empty() && (calm || choices.chance(3, 4)) {
            origins.push(choices.below(ORIGINS as u64) as usize);
        }
        let mut servers: Vec<Server> = origins
            .into_iter()
            .map(|origin| Server {
                origin,
                weight: choices.pick(&[1, 1, 1, 3, 0]),
                named: choices.chance(1, 4),
            })
            .collect();
        if calm && let Some(server) = servers.first_mut() {
            server.weight = server.weight.max(1);
        }
        Service {
            version,
            servers,
            p2c: choices.chance(1, 4),
        }
    }

    /// One to three edits.
    pub fn change(&mut self) {
        for _ in 0..=self.choices.below(3) {
            self.version += 1;
            let version = self.version;
            match self.choices.below(7) {
                0..2 => {
                    let n = self.choices.below(SERVICES as u64) as usize;
                    self.services[n] = Self::service(&mut self.choices, version, self.calm);
                }
                2 | 3 => {
                    let n = self.choices.below(MIDDLEWARES as u64) as usize;
                    self.middlewares[n] = version;
                }
                6 => self.pages = Self::service(&mut self.choices, version, self.calm),
                _ => {
                    let n = self.choices.below(ROUTERS as u64) as usize;
                    let gone = !self.calm && self.choices.chance(1, 4);
                    let router = Self::router(&mut self.choices, version);
                    self.routers[n] = (!gone).then_some(router);
                }
            }
        }
    }

    /// What requests to each router meet.
    pub fn routes(&self) -> Vec<Option<Route>> {
        let route = |router: &Router| Route {
            router: router.version.to_string(),
            middleware: format!(
                "{}.{}",
                router.middleware, self.middlewares[router.middleware]
            ),
            around: router.around,
            service: target(
                &format!("s{}", router.service),
                &self.services[router.service],
            ),
        };
        self.routers
            .iter()
            .map(|router| router.as_ref().map(route))
            .collect()
    }

    /// The service with error pages.
    pub fn pages(&self) -> Target {
        target("p", &self.pages)
    }

    /// The configuration as a file would have it.
    pub fn text(&self) -> String {
        let mut text =
            String::from("http:\n  routers:\n    none: {rule: 'Host(`nobody`)', service: names}\n");
        for (n, router) in self.routers.iter().enumerate() {
            let Some(router) = router else { continue };
            let _ = writeln!(
                text,
                "    r{n}: {{rule: 'PathPrefix(`/r{n}/`)', service: s{}, middlewares: [t{n}, m{}{}]}}",
                router.service,
                router.middleware,
                router.around.middlewares()
            );
        }
        text += "  middlewares:\n";
        for (n, router) in self.routers.iter().enumerate() {
            let Some(router) = router else { continue };
            let version = router.version;
            let _ = writeln!(
                text,
                "    t{n}: {{headers: {{customRequestHeaders: {{X-Router: '{version}'}}, customResponseHeaders: {{X-Router-Back: '{version}'}}}}}}"
            );
        }
        for (n, version) in self.middlewares.iter().enumerate() {
            let _ = writeln!(
                text,
                "    m{n}: {{headers: {{customRequestHeaders: {{X-Middleware: '{n}.{version}'}}, customResponseHeaders: {{X-Middleware-Back: '{n}.{version}'}}}}}}"
            );
        }
        let auth = |hash| {
            format!(
                "{{basicAuth: {{users: ['{USER}:{hash}'], headerField: X-User, removeHeader: true}}}}"
            )
        };
        let _ = writeln!(
            text,
            "    retry: {{retry: {{attempts: {ATTEMPTS}, initialInterval: 20ms, status: ['502-504']}}}}\n    \
             retry-all: {{retry: {{attempts: {ATTEMPTS}, status: ['502-504'], retryNonIdempotentMethod: true}}}}\n    \
             buffering: {{buffering: {{maxRequestBodyBytes: 1000000}}}}\n    \
             limit: {{buffering: {{maxRequestBodyBytes: {BUFFERED}, maxResponseBodyBytes: {BUFFERED}}}}}\n    \
             errors: {{errors: {{status: ['500-599'], statusRewrites: {{'502-503': 418}}, service: p, query: '/{{originalStatus}}/{{url}}'}}}}\n    \
             auth: {}\n    \
             slow-auth: {}",
            auth("{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM="),
            auth("$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1"),
        );
        text += "  services:\n";
        for (n, service) in self.services.iter().enumerate() {
            push_service(&mut text, &format!("s{n}"), service);
        }
        push_service(&mut text, "p", &self.pages);
        // Where names must stay in use, an unreachable service uses them all.
        let origins = 0..if self.calm { ORIGINS } else { 0 };
        let servers = origins.map(|origin| Server {
            origin,
            weight: 1,
            named: true,
        });
        let names = Service {
            version: 0,
            servers: servers.collect(),
            p2c: false,
        };
        push_service(&mut text, "names", &names);
        text
    }
}

fn target(name: &str, service: &Service) -> Target {
    Target {
        label: format!("{name}v{}", service.version),
        servers: service.servers.clone(),
    }
}

fn push_service(text: &mut String, name: &str, service: &Service) {
    let url = |server: &Server| {
        let host = match server.named {
            true => format!("o{}.test", server.origin),
            false => origin_address(server.origin).to_string(),
        };
        format!(
            "{{url: 'http://{host}/{name}v{}', preservePath: true, weight: {}}}",
            service.version, server.weight
        )
    };
    let servers: Vec<String> = service.servers.iter().map(url).collect();
    let strategy = if service.p2c { "p2c" } else { "wrr" };
    let _ = writeln!(
        text,
        "    {name}: {{loadBalancer: {{strategy: {strategy}, servers: [{}]}}}}",
        servers.join(", ")
    );
}
