//! UDP routers and services (Traefik: `udp.*`).

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::http::WeightedService;
use crate::config::decode::{Decode, How, List, ObjectError, Path, Text};
use crate::config::schema::decode_one_of;
use crate::config::tree::Node;

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
    pub enum UdpService {
        /// Servers.
        LoadBalancer(UdpLoadBalancer) = "loadBalancer",
        /// Other services.
        Weighted(UdpWeighted) = "weighted",
    }
}

impl Decode for UdpService {
    fn decode(
        node: &Node<'_>,
        _how: How,
        path: &Path<'_>,
        errors: &mut Vec<ObjectError>,
    ) -> Option<Self> {
        decode_one_of(
            "service",
            Self::TYPES,
            node,
            path,
            errors,
            Self::decode_variant,
            |_, _| false,
        )
    }
}

impl Serialize for UdpService {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        self.serialize_entry(&mut map)?;
        map.end()
    }
}
