//! Where a server is: its scheme and address, parsed from a server's URL once, off the shards.

use std::net::SocketAddr;
use std::sync::Arc;

/// Identity of a host name that the resolver keeps resolved. Given out by `plan`, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u64);

/// The URL schemes a server may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in clear text.
    Http,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    /// The URL held an IP address.
    Fixed(SocketAddr),
    /// The URL held a name; its addresses are a state update of the control thread.
    Name {
        /// Under which the shard finds the current addresses.
        id: NameId,
        /// The name itself, for messages.
        host: Arc<str>,
        /// The port to connect to.
        port: u16,
    },
    /// An abstract Unix socket of this process (the API thread).
    Abstract(Arc<[u8]>),
}
