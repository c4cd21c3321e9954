//! What the integration suites share: a proxy of real shards in this process, scripted origins, clients that speak raw
//! bytes, the binary as a process, and the servers that providers ask.
#![allow(dead_code)] // Each suite uses a part of it.

pub mod browser;
pub mod certificates;
pub mod client;
pub mod consul;
pub mod etcd;
pub mod following;
pub mod nginx;
pub mod origin;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod routes;
pub mod stores;
pub mod zookeeper;

/// A port that nobody listens on.
pub fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("bound").port()
}
