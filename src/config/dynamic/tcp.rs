//! TCP routers, services, middlewares and servers transports (Traefik: `tcp.*`).

use super::http::{HealthCheck, Spiffe, WeightedService};
use super::middleware::SourceRange;
use super::tls::{Certificate, Domain};
use crate::config::decode::{List, Text};
use crate::config::duration::GoDuration;

schema! {
    /// Which connections go through which middlewares to which service (`tcp.routers.<name>`).
    pub struct TcpRouter {
        /// Names of entry points; empty means the default ones.
        pub entry_points: List<Text> = "entryPoints";
        /// Names of middlewares in their order.
        pub middlewares: List<Text> = "middlewares";
        /// Name of the service.
        pub service: Text = "service";
        /// The rule that a connection must match.
        pub rule: Text = "rule";
        /// `v2`, `v3` or `default`; empty means the configured default. Deprecated by Traefik.
        pub rule_syntax: Text = "ruleSyntax";
        /// Higher goes first; 0 means the rule's length in bytes.
        pub priority: i64 = "priority";
        /// Present: the router takes TLS connections.
        pub tls: Option<Box<TcpRouterTls>> = "tls" [presence];
    }

    /// TLS of a TCP router.
    pub struct TcpRouterTls {
        /// Whether TLS is not terminated but passed on.
        pub passthrough: bool = "passthrough" [always];
        /// Name of a `tls.options` entry; empty means `default`.
        pub options: Text = "options";
        /// Name of the certificate resolver.
        pub cert_resolver: Text = "certResolver";
        /// Domains to obtain certificates for.
        pub domains: List<Domain> = "domains";
    }

    /// Servers behind one balancer (`loadBalancer`).
    pub struct TcpLoadBalancer {
        /// The servers.
        pub servers: List<TcpServer> = "servers";
        /// Name of the servers transport; empty means `default@internal`.
        pub servers_transport: Text = "serversTransport";
        /// Present: a PROXY header is sent. Deprecated in favour of the servers transport's.
        pub proxy_protocol: Option<ProxyProtocol> = "proxyProtocol" [presence];
        /// Milliseconds between the two directions' ends. Deprecated in favour of the servers transport's.
        pub termination_delay: Option<i64> = "terminationDelay";
        /// Present: servers are asked for their health.
        pub health_check: Option<Box<TcpHealthCheck>> = "healthCheck" [presence];
    }

    /// One TCP server.
    pub struct TcpServer {
        /// `host:port`.
        pub address: Text = "address";
        /// Whether the connection to it uses TLS.
        pub tls: bool = "tls";
    }

    /// The PROXY header that is sent.
    pub struct ProxyProtocol {
        /// 1 or 2.
        pub version: i64 = "version" [default 2];
    }

    /// How servers are asked for their health.
    pub struct TcpHealthCheck {
        /// Port in place of the server's; 0 means that one.
        pub port: i64 = "port" [min 0];
        /// What is sent after connecting; empty means nothing.
        pub send: Text = "send";
        /// What the answer must be; empty means anything.
        pub expect: Text = "expect";
        /// Time between two checks of a healthy server.
        pub interval: GoDuration = "interval" [default GoDuration::from_secs(30)] [min 0];
        /// Time between two checks of an unhealthy server; absent means `interval`.
        pub unhealthy_interval: Option<GoDuration> = "unhealthyInterval" [min 0];
        /// How long connecting and the answer may take.
        pub timeout: GoDuration = "timeout" [default GoDuration::from_secs(5)] [min 0];
    }

    /// Other services in turn, by weight (`weighted`).
    pub struct TcpWeighted {
        /// The services.
        pub services: List<WeightedService> = "services";
        /// Present: services that are down get no connections.
        pub health_check: Option<HealthCheck> = "healthCheck" [presence];
    }

    /// How many connections one client may have (`inFlightConn`).
    pub struct InFlightConn {
        /// Connections per client address.
        pub amount: i64 = "amount";
    }

    /// How servers are connected to (`tcp.serversTransports.<name>`).
    pub struct TcpServersTransport {
        /// Time between keep-alive probes; negative switches them off.
        pub dial_keep_alive: GoDuration = "dialKeepAlive" [default GoDuration::from_secs(15)];
        /// How long connecting may take.
        pub dial_timeout: GoDuration = "dialTimeout" [default GoDuration::from_secs(30)] [min 0];
        /// Present: a PROXY header is sent.
        pub proxy_protocol: Option<ProxyProtocol> = "proxyProtocol" [presence];
        /// How long the other direction may go on after one ended; negative means without limit.
        pub termination_delay: GoDuration = "terminationDelay" [default GoDuration::from_millis(100)];
        /// Present: TLS towards servers that ask for it.
        pub tls: Option<Box<TcpClientTls>> = "tls" [presence];
    }

    /// TLS towards TCP servers.
    pub struct TcpClientTls {
        /// Server name; empty means the address's host.
        pub server_name: Text = "serverName";
        /// Whether the server's certificate is not verified.
        pub insecure_skip_verify: bool = "insecureSkipVerify";
        /// Authorities, as files or PEM text; empty means the system's.
        pub root_cas: List<Text> = "rootCAs";
        /// Client certificates.
        pub certificates: List<Certificate> = "certificates";
        /// URI that the server's certificate must have.
        pub peer_cert_uri: Text = "peerCertURI";
        /// Present: SPIFFE verification.
        pub spiffe: Option<Box<Spiffe>> = "spiffe" [presence];
    }

    /// What an entry point adds to its TCP routers.
    pub struct TcpModel {
        /// Rule syntax of routers that do not say.
        pub default_rule_syntax: Text = "(default rule syntax)" [hidden];
    }
}

one_of! {
    /// Where a TCP router's connections go (`tcp.services.<name>`).
    pub enum TcpService: "service" {
        /// Servers.
        LoadBalancer(TcpLoadBalancer) = "loadBalancer",
        /// Other services.
        Weighted(TcpWeighted) = "weighted",
    }

    /// What a connection passes before its service (`tcp.middlewares.<name>`).
    pub enum TcpMiddleware: "middleware" {
        /// Limits connections per client.
        InFlightConn(InFlightConn) = "inFlightConn",
        /// The old name of `ipAllowList`.
        IpWhiteList(SourceRange) = "ipWhiteList",
        /// Admits clients by address.
        IpAllowList(SourceRange) = "ipAllowList",
    }
}
