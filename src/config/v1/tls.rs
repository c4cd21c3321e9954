//! Certificates: `[[tls]]` of files, `tls/<n>/…` of stores, and those of entry points.

use super::build::{Map, Objects};
use super::read::{Fields, join};
use super::remark::Problems;
use crate::config::tree::{Node, Value};

/// Converts the `tls` section.
pub(super) fn convert(node: &Node<'_>, out: &mut Objects, problems: &mut Problems) {
    let items: Vec<(String, &Node<'_>)> = match &node.value {
        Value::List(items) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| (format!("tls[{index}]"), item))
                .collect()
        }
        Value::Map(entries) => {
            let entries = entries.iter();
            entries
                .map(|entry| (join("tls", &entry.key), &entry.node))
                .collect()
        }
        Value::Null => Vec::new(),
        Value::Scalar(_) | Value::Branch(_) => {
            let message = format!("is {} where a list is expected", node.describe());
            problems.lost("tls", node.at, message);
            Vec::new()
        }
    };
    let mut has_entry_points = false;
    for (path, item) in items {
        let mut fields = Fields::of(item, path, problems);
        has_entry_points |= !fields.list("entryPoints", problems).is_empty();
        let certificate = fields
            .below("certificate", problems)
            .map(|fields| certificate(fields, problems));
        match certificate.flatten() {
            Some(certificate) => out.certificates.push(certificate.done().at(item.at)),
            None => {
                let message = "has no certificate with certFile and keyFile: it is left out";
                problems.lost(&fields.path, item.at, message);
            }
        }
        fields.finish(problems);
    }
    if has_entry_points {
        let message =
            "certificates are shown on every entry point with TLS, whichever entryPoints they name";
        problems.note("tls", node.at, message);
    }
    // A wrong value costs its certificate, which is told with it.
    for error in std::mem::take(&mut problems.errors) {
        problems.lost(&error.path, error.position, error.message);
    }
}

/// `certFile` and `keyFile`; `None` if both are missing.
pub(super) fn certificate(mut fields: Fields<'_, '_>, problems: &mut Problems) -> Option<Map> {
    let map = Map::new()
        .some("certFile", fields.text("certFile", problems))
        .some("keyFile", fields.text("keyFile", problems));
    fields.finish(problems);
    (!map.is_empty()).then_some(map)
}
