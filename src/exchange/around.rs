//! Retry, errors and buffering: middlewares that forward a request zero or more times.
use super::forward::Reply;
use super::pipeline::Exchange;
use crate::middleware::{Buffering, Errors, Retry};
use crate::router::snapshot::*;
impl Exchange<'_> {
    pub(crate) async fn retry(
        &mut self,
        _r: &Retry,
        s: &Snapshot,
        route: &Route,
        rest: &[MiddlewareSlot],
    ) -> Reply {
        self.run_nested(s, route, rest).await
    }
    pub(crate) async fn errors(
        &mut self,
        _r: &Errors,
        _e: Option<ServiceSlot>,
        s: &Snapshot,
        route: &Route,
        rest: &[MiddlewareSlot],
    ) -> Reply {
        self.run_nested(s, route, rest).await
    }
    pub(crate) async fn buffering(
        &mut self,
        _r: &Buffering,
        s: &Snapshot,
        route: &Route,
        rest: &[MiddlewareSlot],
    ) -> Reply {
        self.run_nested(s, route, rest).await
    }
}
