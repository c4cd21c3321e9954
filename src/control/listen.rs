//! Listening sockets: one per entry point and shard, shared by SO_REUSEPORT, and yet a second instance
//! is refused.
//!
//! With SO_REUSEPORT on all sockets, a second process of the same user would share the port unnoticed
//! and get half of the connections. So, unless `reusePort` asks for exactly that:
//!
//! ```text
//! start   claim   socket 0 binds WITHOUT SO_REUSEPORT      fails if anybody listens there
//! ready   open    socket 0 listens, still without it       fails if anybody began to in the meantime
//!                 socket 0 gets SO_REUSEPORT
//!                 sockets 1 … n bind and listen with it    allowed: all members have it and one user
//! ```
//!
//! Linux checks conflicts again in `listen`, and looks at the option's present value on each socket, not
//! at its value when the socket was bound; the tests hold it to that. A later instance finds a listening
//! port and fails at its claim. Between `claim` and `open` the port refuses connections, as a port should
//! whose routes are not known yet.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

/// Connections that may wait in one socket's accept queue (the kernel limits it to net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Accepted connections inherit this (Traefik: 3 minutes).
const KEEP_ALIVE: Duration = Duration::from_secs(180);

/// A port that belongs to this process and does not listen yet.
#[derive(Debug)]
pub struct Claim {
    name: String,
    socket: Socket,
    address: SocketAddr,
}

/// Why an entry point cannot listen, with what to do.
#[derive(Debug)]
pub struct ListenError {
    entry_point: String,
    address: String,
    error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entry_point,
            address,
            error,
        } = self;
        write!(
            f,
            "entry point {entry_point:?} cannot listen on {address:?}: "
        )?;
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => f.write_str(
                "the address is in use by another process (`ss -ltnp` shows which); stop it, choose \
                 another port, or set reusePort on the entry points of both to share the port",
            ),
            Some(libc::EACCES) => f.write_str(
                "this user may not use the port; give the binary CAP_NET_BIND_SERVICE, lower \
                 net.ipv4.ip_unprivileged_port_start, or use a port from 1024 on",
            ),
            Some(libc::EADDRNOTAVAIL) => {
                f.write_str("this machine has no such address; use one that `ip address` shows, or none (\":port\")")
            }
            _ => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for ListenError {}

impl Claim {
    /// Binds `address` (`host:port` or `:port`) for the entry point `name` without listening.
    ///
    /// # Errors
    /// The address is in use, not permitted, not of this machine, or not an address.
    pub fn new(name: &str, address: &str, reuse_port: bool) -> Result<Self, ListenError> {
        let fail = |error| ListenError {
            entry_point: name.to_owned(),
            address: address.to_owned(),
            error,
        };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for candidate in candidates(address).map_err(fail)? {
            match bind(candidate, reuse_port) {
                Ok(socket) => {
                    let bound = socket.local_addr().map_err(fail)?;
                    let address = bound.as_socket().unwrap_or(candidate);
                    return Ok(Self {
                        name: name.to_owned(),
                        socket,
                        address,
                    });
                }
                // Only where the kernel lacks the address family is the next one as good.
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EADDRINUSE | libc::EACCES)) =>
                {
                    return Err(fail(error));
                }
                Err(error) => last = error,
            }
        }
        Err(fail(last))
    }

    /// The bound address; its port is real even if the configured one was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The entry point's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Listens, with `count` sockets, all in blocking mode; the kernel spreads new connections over them.
    ///
    /// # Errors
    /// Another process began to listen since the claim, or the system is out of sockets.
    pub fn open(self, count: usize) -> Result<Vec<TcpListener>, ListenError> {
        let Self {
            name,
            socket,
            address,
        } = self;
        let open = || -> io::Result<Vec<TcpListener>> {
            socket.listen(BACKLOG)?;
            socket.set_reuse_port(true)?;
            let mut sockets = vec![socket];
            for _ in 1..count.max(1) {
                let socket = bind(address, true)?;
                socket.listen(BACKLOG)?;
                sockets.push(socket);
            }
            Ok(sockets.into_iter().map(TcpListener::from).collect())
        };
        open().map_err(|error| ListenError {
            entry_point: name,
            address: address.to_string(),
            error,
        })
    }
}

/// The addresses to try, in order. Without a host: all IPv6 and IPv4 addresses in one socket, or IPv4
/// alone where the kernel has no IPv6.
fn candidates(address: &str) -> io::Result<Vec<SocketAddr>> {
    if let Some(port) = address.strip_prefix(':') {
        let port: u16 = port.parse().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "the port must be a number from 0 to 65535",
            )
        })?;
        return Ok(vec![
            (Ipv6Addr::UNSPECIFIED, port).into(),
            (Ipv4Addr::UNSPECIFIED, port).into(),
        ]);
    }
    Ok(address.to_socket_addrs()?.collect())
}

fn bind(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // As Go does: connections of the previous process in TIME_WAIT do not block the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        let all = address.ip() == Ipv6Addr::UNSPECIFIED;
        socket.set_only_v6(!all)?;
    }
    if reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEP_ALIVE)
            .with_interval(KEEP_ALIVE),
    )?;
    // Accepted connections inherit it: a response head must not wait for an acknowledgement.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn claim(address: SocketAddr, reuse_port: bool) -> Result<Claim, ListenError> {
        Claim::new("web", &address.to_string(), reuse_port)
    }

    fn free() -> Claim {
        Claim::new("web", "127.0.0.1:0", false).unwrap()
    }

    #[test]
    fn every_socket_of_an_open_entry_point_gets_connections() {
        let claim = free();
        let address = claim.address();
        let listeners = claim.open(4).unwrap();
        assert_eq!(listeners.len(), 4);
        let clients: Vec<_> = (0..200)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut accepted = 0;
        for listener in &listeners {
            listener.set_nonblocking(true).unwrap();
            let before = accepted;
            while listener.accept().is_ok() {
                accepted += 1;
            }
            assert!(accepted > before, "a member of the group got nothing");
        }
        assert_eq!(accepted, clients.len());
    }

    #[test]
    fn a_second_instance_is_refused_while_the_first_listens() {
        let first = free();
        let address = first.address();
        let _open = first.open(2).unwrap();
        let error = claim(address, false).unwrap_err().to_string();
        assert!(
            error.contains("in use") && error.contains("\"web\""),
            "{error}"
        );
    }

    #[test]
    fn of_two_instances_that_start_together_exactly_one_listens() {
        let first = free();
        let address = first.address();
        // Neither listens yet: SO_REUSEADDR lets both bind.
        let Ok(second) = claim(address, false) else {
            return;
        };
        let _open = first.open(2).unwrap();
        assert!(
            second.open(2).is_err(),
            "the second instance would share the port unnoticed"
        );
    }

    #[test]
    fn a_port_that_another_program_listens_on_is_refused_even_if_that_one_shares() {
        let other = bind("127.0.0.1:0".parse().unwrap(), true).unwrap();
        other.listen(16).unwrap();
        let address = other.local_addr().unwrap().as_socket().unwrap();
        assert!(claim(address, false).is_err());
        assert!(claim(address, true).is_ok(), "reusePort asks for sharing");
    }

    #[test]
    fn instances_share_a_port_when_both_ask_for_it() {
        let first = claim("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let address = first.address();
        let _first = first.open(2).unwrap();
        let second = claim(address, true).unwrap();
        assert!(second.open(2).is_ok());
    }

    #[test]
    fn a_claimed_port_refuses_connections_until_it_is_opened() {
        let claim = free();
        let address = claim.address();
        assert!(TcpStream::connect(address).is_err());
        let _open = claim.open(1).unwrap();
        assert!(TcpStream::connect(address).is_ok());
    }

    #[test]
    fn an_address_without_a_host_takes_both_families() {
        let claim = Claim::new("web", ":0", false).unwrap();
        let port = claim.address().port();
        let _open = claim.open(2).unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = Claim::new("web", "192.0.2.1:80", false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no such address") || error.contains("may not use"),
            "{error}"
        );
        assert!(Claim::new("web", ":99999", false).is_err());
    }
}
