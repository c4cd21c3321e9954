//! What happens to every request before it is matched, in Traefik's order: underscores, fragment, path,
//! query, forwarded fields. Routing, middlewares and the upstream all see the result.

use std::net::SocketAddr;

use super::local::Local;
use super::settings::EntryPointSettings;
use crate::http::error::Cause;
use crate::http::forwarded::{self, Client};
use crate::http::{RequestHead, query, underscore};

/// Brings a received head into the form that everything behind the edge relies on.
///
/// # Errors
/// Why the request is refused before it is routed.
pub(crate) fn admit(
    request: &mut RequestHead,
    entry_point: &EntryPointSettings,
    local: &Local,
    client: SocketAddr,
    secure: bool,
    scratch: &mut Vec<u8>,
) -> Result<(), Cause> {
    underscore::apply(entry_point.underscores, request)?;
    if request.has_fragment() {
        return Err(Cause::Fragment);
    }
    if entry_point.sanitize_path {
        request.sanitize_path();
    }
    query::apply_semicolons(request, entry_point.encode_query_semicolons);
    let client = Client {
        ip: client.ip(),
        secure,
        hostname: &local.settings.hostname,
    };
    forwarded::set_at_edge(request, &entry_point.forwarded, &client, scratch);
    Ok(())
}
