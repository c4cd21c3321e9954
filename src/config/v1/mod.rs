//! Traefik 1's configurations, converted to today's: frontends and backends, static files, and rules.
//!
//! ```text
//! TOML ─┐
//! JSON ─┼──► tree::Node ──► convert ──► today's tree ──► dynamic::decode ──► objects
//! KV   ─┘                      └──► remarks: what is lost, what is otherwise, per key
//! ```
//!
//! | module | what it is for |
//! |---|---|
//! | `detect` | whether a tree is Traefik 1's |
//! | `rule`, `template` | rules |
//! | `frontend`, `backend`, `access`, `headers`, `criterion`, `tls` | the dynamic part |
//! | `statics`, `entry_point`, `stores` | the static part |
//! | `context` | what the dynamic part needs to know of the static one |
//! | `text` | files |
//! | `read`, `build`, `remark` | reading the old tree, writing the new one, telling |
//!
//! The conversion makes a tree and nothing else, so that its result is checked, shown and saved like any other
//! configuration. What Traefik 1 did is read from its documentation and from the source of 1.7.34; `docs/traefik-1.md`
//! has the tables. Not here: where the trees come from, and aliases of stores.

mod access;
mod backend;
mod build;
mod context;
mod criterion;
mod detect;
mod entry_point;
mod frontend;
mod headers;
mod read;
mod remark;
mod rule;
mod statics;
mod stores;
mod template;
mod text;
mod tls;

use rustc_hash::FxHashMap;

pub use context::{Context, Origin};
pub use detect::{is_dynamic_only, is_v1, may_be_v1};
pub use remark::{Remark, Weight};
pub use statics::{ConvertedStatic, DynamicPart, convert_static};
pub use text::{decode_text, notice};

use self::backend::Backend;
use self::build::Objects;
use self::read::{Fields, join};
use self::remark::Problems;
use super::decode::ObjectError;
use super::dynamic::{self, Decoded, Kind, ObjectKey};
use super::tree::{Entry, Node};

/// A dynamic configuration in today's form, and what was not converted.
#[derive(Debug)]
pub struct Converted {
    /// Today's tree: `http` and `tls`.
    pub tree: Node<'static>,
    /// Objects that are wrong, with every reason.
    pub rejected: Vec<(ObjectKey, Vec<ObjectError>)>,
    /// What is lost or otherwise, in the order of the source.
    pub remarks: Vec<Remark>,
}

/// Converts a Traefik 1 tree with `frontends`, `backends` and `tls` (from TOML, JSON or a store) and decodes the result.
///
/// A frontend depends on itself and its backend alone: a tree of one frontend and its backend yields the same objects
/// as they have in the whole tree. Static keys in the same tree say where redirects to entry points lead. What could not
/// be converted is in the result's warnings, and a wrong object is rejected with its reasons. Defaults are those of
/// `origin`; what the tree does not say of the static part is in `context`.
pub fn convert_tree(tree: &Node<'_>, origin: Origin, context: &Context) -> Decoded {
    let converted = convert(tree, origin, context);
    let decoded = dynamic::decode(&converted.tree, None);
    let warnings = converted.remarks.into_iter().map(|remark| remark.what);
    decoded.amended(converted.rejected, warnings)
}

/// Converts a Traefik 1 tree with `frontends`, `backends` and `tls` into today's tree.
pub fn convert(tree: &Node<'_>, origin: Origin, context: &Context) -> Converted {
    let mut problems = Problems::default();
    let mut out = Objects::default();
    let mut rejected = Vec::new();
    let mut top = Fields::of(tree, String::new(), &mut problems);
    let context = statics::dynamic_part(tree, context, &mut out);
    let backends = backends(&mut top, &context, &mut out, &mut rejected, &mut problems);
    frontends(
        &mut top,
        &backends,
        (origin, &context),
        &mut out,
        &mut rejected,
        &mut problems,
    );
    if let Some(section) = top.get("tls") {
        tls::convert(section, &mut out, &mut problems);
    }
    for entry in top.rest().filter(|entry| !detect::is_known(&entry.key)) {
        problems.note(
            &entry.key,
            entry.at,
            "is no key of Traefik 1 and is ignored",
        );
    }
    // What is wrong with the top or a section itself.
    for error in std::mem::take(&mut problems.errors) {
        problems.lost(&error.path, error.position, error.message);
    }
    Converted {
        tree: out.into_tree(),
        rejected,
        remarks: problems.remarks,
    }
}

type Rejected = Vec<(ObjectKey, Vec<ObjectError>)>;

/// Converts all backends. A wrong one is known by its name, so that its frontends stay.
fn backends<'n>(
    top: &mut Fields<'n, '_>,
    context: &Context,
    out: &mut Objects,
    rejected: &mut Rejected,
    problems: &mut Problems,
) -> FxHashMap<&'n str, Option<Backend>> {
    let mut backends = FxHashMap::default();
    for entry in top.entries_below("backends", problems) {
        let name = safe_name(entry, "backends", problems);
        let path = join("backends", &entry.key);
        let before = std::mem::take(&mut problems.errors);
        let backend = backend::convert(&name, &entry.node, &path, context, out, problems);
        problems.errors = before;
        let backend = match backend {
            Ok(backend) => Some(backend),
            Err(errors) => {
                rejected.push((ObjectKey::new(Kind::HttpService, name), errors));
                None
            }
        };
        backends.insert(&*entry.key, backend);
    }
    backends
}

fn frontends(
    top: &mut Fields<'_, '_>,
    backends: &FxHashMap<&str, Option<Backend>>,
    context: (Origin, &Context),
    out: &mut Objects,
    rejected: &mut Rejected,
    problems: &mut Problems,
) {
    for entry in top.entries_below("frontends", problems) {
        let name = safe_name(entry, "frontends", problems);
        let path = join("frontends", &entry.key);
        let before = std::mem::take(&mut problems.errors);
        let frontend =
            frontend::convert(&name, &entry.node, &path, backends, context, out, problems);
        problems.errors = before;
        if let Err(errors) = frontend {
            rejected.push((ObjectKey::new(Kind::HttpRouter, name), errors));
        }
    }
}

/// An object's name without what names must not have today.
fn safe_name(entry: &Entry<'_>, section: &str, problems: &mut Problems) -> String {
    let name = today_name(&entry.key);
    if name != *entry.key {
        let message = format!("is called {name:?} today: names must not contain \"@\"");
        problems.note(join(section, &entry.key), entry.at, message);
    }
    name
}

/// A name with `_` for `@`, which separates names from providers today.
fn today_name(name: &str) -> String {
    name.replace('@', "_")
}

#[cfg(test)]
mod tests;
