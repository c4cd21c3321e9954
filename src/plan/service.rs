//! A service's configuration becomes a [`Service`]: first its own text alone, then linked with its
//! transport and the identities of its servers.

use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::dynamic::http::{
    BalancerStrategy, LoadBalancer as Config, Server as ServerConfig,
};
use crate::config::dynamic::{HttpService, HttpServiceKind};
use crate::config::secret::without_password;
use crate::service::{
    LoadBalancer, Scheme, Server, ServerAddress, ServerId, Service, ServiceKind, Strategy,
    Transport,
};

use super::identity::Identities;
use super::input::Compiled;
use super::server_url::{Host, ServerUrl};

/// A load balancer whose own text is good.
#[derive(Debug)]
pub(super) struct Draft {
    servers: Vec<DraftServer>,
    strategy: Strategy,
    pass_host_header: bool,
    /// The name as configured; empty for the default transport.
    pub(super) transport: Box<str>,
}

#[derive(Debug)]
struct DraftServer {
    url: Arc<str>,
    scheme: Scheme,
    host: DraftHost,
    port: u16,
    authority: Box<str>,
    weight: u32,
    path_prefix: Option<Arc<str>>,
}

#[derive(Debug)]
enum DraftHost {
    Ip(std::net::IpAddr),
    Name(Box<str>),
}

/// Compiles a service's own text.
pub(super) fn compile(config: &HttpService) -> Result<Compiled<Draft>, Vec<Box<str>>> {
    let unsupported = match &config.kind {
        HttpServiceKind::LoadBalancer(_) if !config.middlewares.is_empty() => {
            "middlewares of a service"
        }
        HttpServiceKind::LoadBalancer(balancer) => return compile_balancer(balancer),
        other => other.type_name(),
    };
    Err(vec![format!("not supported yet: {unsupported}").into()])
}

fn compile_balancer(config: &Config) -> Result<Compiled<Draft>, Vec<Box<str>>> {
    let mut errors = Vec::new();
    let mut servers = Vec::with_capacity(config.servers.len());
    for server in &config.servers {
        match compile_server(server) {
            Ok(server) => servers.extend(server),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let draft = Draft {
        servers,
        strategy: match config.strategy {
            BalancerStrategy::P2c => Strategy::P2c,
            BalancerStrategy::Wrr | BalancerStrategy::Hrw | BalancerStrategy::LeastTime => {
                Strategy::Wrr
            }
        },
        pass_host_header: config.pass_host_header,
        transport: config.servers_transport.clone(),
    };
    Ok(Compiled {
        value: draft,
        warnings: not_honoured(config),
    })
}

/// `None`: the server's weight says that it gets no requests.
fn compile_server(config: &ServerConfig) -> Result<Option<DraftServer>, Box<str>> {
    let url = ServerUrl::parse(&config.url).map_err(|error| {
        format!(
            "error parsing server URL {}: {error}",
            without_password(&config.url)
        )
    })?;
    let weight = config.weight.unwrap_or(1);
    if weight <= 0 {
        return Ok(None);
    }
    let weight = u32::try_from(weight).map_err(|_| {
        format!(
            "weight {weight} of server {} is too large, expected at most {}",
            without_password(&config.url),
            u32::MAX
        )
    })?;
    Ok(Some(DraftServer {
        url: Arc::clone(&config.url),
        scheme: url.scheme,
        host: match url.host {
            Host::Ip(address) => DraftHost::Ip(address),
            Host::Name(name) => DraftHost::Name(name.to_ascii_lowercase().into()),
        },
        port: url.port,
        authority: url.authority.into(),
        weight,
        path_prefix: (config.preserve_path && !matches!(url.path, "" | "/"))
            .then(|| url.path.into()),
    }))
}

fn not_honoured(config: &Config) -> Vec<Box<str>> {
    let mut warnings = Vec::new();
    if matches!(
        config.strategy,
        BalancerStrategy::Hrw | BalancerStrategy::LeastTime
    ) {
        warnings.push(
            format!(
                "strategy {} is not supported yet, wrr is used instead",
                config.strategy.as_str()
            )
            .into(),
        );
    }
    let set = [
        ("sticky", config.sticky.is_some()),
        ("healthCheck", config.health_check.is_some()),
        ("passiveHealthCheck", config.passive_health_check.is_some()),
    ];
    let names: Vec<_> = set
        .iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| *name)
        .collect();
    if !names.is_empty() {
        warnings.push(format!("not supported yet, without effect: {}", names.join(", ")).into());
    }
    warnings
}

/// Links a draft with its transport and identities. Servers that the service had before keep theirs;
/// a service that did not change at all is returned as it was.
pub(super) fn link(
    name: &Arc<str>,
    draft: Draft,
    transport: &Arc<Transport>,
    before: Option<&Arc<Service>>,
    identities: &mut Identities,
) -> Arc<Service> {
    let old_servers = before.map_or(&[][..], |service| servers(service));
    let mut known = KnownServers::new(old_servers);
    let drafts = draft.servers.into_iter();
    let servers = drafts.enumerate().map(|(at, server)| {
        let id = known.take(at, &server.url);
        link_server(server, id, transport, identities)
    });
    let kind = ServiceKind::LoadBalancer(LoadBalancer {
        servers: servers.collect(),
        strategy: draft.strategy,
        pass_host_header: draft.pass_host_header,
        transport: Arc::clone(transport),
    });
    // After the new uses were counted, so that what stays never reaches zero.
    if let Some(before) = before {
        release(before, identities);
        if before.kind == kind {
            return Arc::clone(before);
        }
    }
    Arc::new(Service {
        name: Arc::clone(name),
        state: before.map_or_else(|| identities.state(), |service| service.state),
        revision: identities.revision(),
        kind,
    })
}

/// The servers that a service had before, to be found by URL, each occurrence for itself.
struct KnownServers<'o> {
    old: &'o [Server],
    taken: Vec<bool>,
    /// Places by URL, last first; made when a server is not where it was.
    by_url: Option<FxHashMap<&'o str, Vec<usize>>>,
}

impl<'o> KnownServers<'o> {
    fn new(old: &'o [Server]) -> Self {
        Self {
            old,
            taken: vec![false; old.len()],
            by_url: None,
        }
    }

    /// The identity that the same URL had before, preferably in the same place: most servers stay there.
    fn take(&mut self, place: usize, url: &str) -> Option<ServerId> {
        let is_here = |server: &Server| *server.url == *url && !self.taken[place];
        let found = match self.old.get(place) {
            Some(server) if is_here(server) => place,
            _ => self.find(url)?,
        };
        self.taken[found] = true;
        Some(self.old[found].id)
    }

    fn find(&mut self, url: &str) -> Option<usize> {
        let by_url = self.by_url.get_or_insert_with(|| {
            let mut by_url = FxHashMap::<_, Vec<_>>::default();
            for (place, server) in self.old.iter().enumerate().rev() {
                by_url.entry(&*server.url).or_default().push(place);
            }
            by_url
        });
        let places = by_url.get_mut(url)?;
        loop {
            let place = places.pop()?;
            if !self.taken[place] {
                return Some(place);
            }
        }
    }
}

fn link_server(
    server: DraftServer,
    id: Option<ServerId>,
    transport: &Transport,
    identities: &mut Identities,
) -> Server {
    let (pool, authority) = identities.acquire_pool(transport, server.scheme, &server.authority);
    let address = match server.host {
        DraftHost::Ip(address) => ServerAddress::Fixed(SocketAddr::new(address, server.port)),
        DraftHost::Name(host) => {
            let (id, host) = identities.acquire_name(&host);
            ServerAddress::Name {
                id,
                host,
                port: server.port,
            }
        }
    };
    Server {
        id: id.unwrap_or_else(|| identities.server()),
        url: server.url,
        scheme: server.scheme,
        authority,
        address,
        weight: server.weight,
        path_prefix: server.path_prefix,
        pool,
    }
}

/// Gives back what a service's servers use. Its own state is the caller's to end.
pub(super) fn release(service: &Service, identities: &mut Identities) {
    let ServiceKind::LoadBalancer(balancer) = &service.kind else {
        return;
    };
    for server in &balancer.servers {
        identities.release_pool(&balancer.transport, server.scheme, &server.authority);
        if let ServerAddress::Name { host, .. } = &server.address {
            identities.release_name(host);
        }
    }
}

fn servers(service: &Service) -> &[Server] {
    match &service.kind {
        ServiceKind::LoadBalancer(balancer) => &balancer.servers,
        ServiceKind::Internal(_) => &[],
    }
}
