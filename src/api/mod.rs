//! The HTTP API: what the proxy is doing, as JSON in Traefik's form. It only reads; what writes stands beside it.
//!
//! ```text
//! client ─► shard ─ router to api@internal ─► abstract Unix socket ─► ApiServer (own thread)
//!                                                                        │ reads
//!                              control thread ── publish, acknowledge ──► ApiState
//! ```
//!
//! | path under `api.basePath` | answer |
//! |---|---|
//! | `/api/version`, `/api/overview`, `/api/rawdata` | as Traefik's |
//! | `/api/entrypoints[/name]` | as Traefik's |
//! | `/api/http/{routers,services,middlewares}[/name@provider]`, `/api/tcp/…`, `/api/udp/{routers,services}…` | as Traefik's: `page`, `per_page`, `search`, `status`, `serviceName`, `middlewareName`, `sortBy`, `direction` |
//! | `/api/certificates` | always empty |
//! | `/api/ringway/generation` | which generation is in force, and what is rejected; with `wait=N`, `revision=R&provider=P` or `file=PATH&digest=SHA1` once that is in force (`timeout=5s`) |
//! | `/api/ringway/providers` | how every provider stands |
//! | `/api/ringway/explain?url=…` | which router, middlewares and service a request gets, and why |
//! | `/debug/vars` | numbers of the process, with `api.debug` only |
//! | `/`, `/dashboard`, `/dashboard/…` | the dashboard, unless `api.dashboard` is false |
//!
//! The thread builds every answer, the largest one piece by piece, from an immutable published state, so that
//! no request here holds up a shard or the control thread. The socket has a random name and takes connections
//! of this process alone; who may use the API is decided by the router that leads here.
//!
//! `PUT /api/providers/rest` is no part of it but a server of the same kind beside it ([`RestServer`]), behind
//! `rest@internal`: who may read is not who may write.
//!
//! `dashboard@internal` is served by the same thread: shards mark its requests with a prefix of the path. Not here:
//! `/ping`, which the shards answer themselves.

mod body;
mod dashboard;
mod goal;
mod item;
mod list;
mod overview;
mod params;
mod providers;
mod reach;
mod rest;
mod ringway;
mod routes;
mod server;
mod state;

pub use goal::Sources;
pub use rest::RestServer;
pub use ringway::{DEFAULT_WAIT, MAX_REJECTED, MAX_WAIT};
pub use server::{ApiServer, ApiSettings, MAX_CONNECTIONS};
pub use state::{ApiFacts, ApiState};

#[cfg(test)]
mod tests;
