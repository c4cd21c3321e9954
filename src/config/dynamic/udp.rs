//! UDP routers and services (Traefik: `udp.*`).

use super::http::WeightedService;
use crate::config::decode::{List, Text};

schema! {
    /// Which entry points' datagrams go to which service (`udp.routers.<name>`).
    pub struct UdpRouter {
        /// Names of entry points.
        pub entry_points: List<Text> = "entryPoints";
        /// Name of the service.
        pub service: Text = "service";
    }

    /// Servers behind one balancer (`loadBalancer`).
    pub struct UdpLoadBalancer {
        /// The servers.
        pub servers: List<UdpServer> = "servers";
    }

    /// One UDP server.
    pub struct UdpServer {
        /// `host:port`.
        pub address: Text = "address";
    }

    /// Other services in turn, by weight (`weighted`).
    pub struct UdpWeighted {
        /// The services.
        pub services: List<WeightedService> = "services";
    }
}

one_of! {
    /// Where a UDP router's datagrams go (`udp.services.<name>`).
    pub enum UdpService: "service" {
        /// Servers.
        LoadBalancer(UdpLoadBalancer) = "loadBalancer",
        /// Other services.
        Weighted(UdpWeighted) = "weighted",
    }
}
