//! What counts as one source of requests (`extractorfunc`).

use super::build::Map;
use super::remark::Problems;
use crate::config::tree::{Node, Position};

/// Today's `sourceCriterion` for an extractor function.
pub(super) fn source_criterion(
    extractor: &str,
    path: &str,
    at: Position,
    problems: &mut Problems,
) -> Option<Node<'static>> {
    // The names of headers keep their case, but the words do not matter in theirs: Traefik 1 compared them exactly.
    let map = match extractor {
        // Only a strategy with a field is one.
        "client.ip" => Map::new().node("ipStrategy", Map::new().text("depth", 0).done()),
        "request.host" => Map::new().text("requestHost", true),
        _ => match extractor.strip_prefix("request.header.") {
            Some(name) if !name.is_empty() => Map::new().text("requestHeaderName", name),
            _ => {
                let message = format!(
                    "is {extractor:?} where client.ip, request.host or request.header.<name> is expected"
                );
                problems.error(path, at, message);
                return None;
            }
        },
    };
    Some(map.done())
}
