//! What happens to every request before it is matched, in Traefik's order: underscores, fragment, path,
//! query, forwarded fields. Routing, middlewares and the upstream all see the result.

use super::local::Local;
use super::settings::EntryPointSettings;
use crate::http::forwarded::{self, Peer};
use crate::http::query::apply_semicolons;
use crate::http::underscore::apply_underscores;
use crate::http::{Cause, RequestHead};

/// Brings a received head into the form that everything behind the edge relies on.
///
/// # Errors
/// Why the request is refused before it is routed.
pub(crate) fn admit(
    request: &mut RequestHead,
    entry_point: &EntryPointSettings,
    local: &Local,
    peer: &Peer,
) -> Result<(), Cause> {
    apply_underscores(&mut request.fields, entry_point.underscores)
        .map_err(|_| Cause::Underscore)?;
    if request.has_fragment() {
        return Err(Cause::Fragment);
    }
    if entry_point.sanitize_path {
        request.sanitize_path();
    }
    apply_semicolons(request, entry_point.semicolons);
    let hostname = local.settings.hostname.as_bytes();
    forwarded::edge(request, &entry_point.forwarded, peer, hostname);
    Ok(())
}
