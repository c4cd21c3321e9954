//! Command-line flags and environment variables to trees.
//!
//! ```text
//! --entryPoints.web.address=:80        ─┐
//! TRAEFIK_ENTRYPOINTS_WEB_ADDRESS=:80  ─┴─► settings (path, value) ──► tree
//! ```
//!
//! Names compare without regard to case; lists take an index (`domains[0].main`) or commas.

use std::borrow::Cow;

use super::vocabulary::{Shape, Word, find, words};
use crate::config::tree::{Entry, Node, Position, Value};

/// The flag that names the configuration file.
pub(super) const CONFIG_FILE: &str = "configFile";

/// A flag that cannot be read; the text says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FlagError(pub(super) String);

/// Settings by path, in the order in which they came.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settings {
    settings: Vec<(Vec<String>, String)>,
    /// The value of `--configFile`.
    pub(super) config_file: Option<String>,
}

impl Settings {
    /// Whether nothing is set, `--configFile` aside.
    pub(super) fn is_empty(&self) -> bool {
        self.settings.is_empty()
    }

    /// Reads flags as Traefik does: `--name=value`, `--name value`, and `--name` alone for booleans and structs.
    pub(super) fn from_flags(args: &[String]) -> Result<Self, FlagError> {
        let mut settings = Self::default();
        let mut args = args.iter().peekable();
        while let Some(arg) = args.next() {
            let Some(name) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
                return Err(FlagError(format!(
                    "{arg:?} is not a flag: flags begin with --"
                )));
            };
            if name.is_empty() && args.peek().is_none() {
                break;
            }
            if name.is_empty() || name.starts_with(['-', '=']) {
                return Err(FlagError(format!(
                    "{arg:?} is not a flag: write --name=value"
                )));
            }
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let path = flag_path(name).ok_or_else(|| {
                FlagError(format!(
                    "--{name} is not a path of names: write --section.name.option=value"
                ))
            })?;
            let value = match value {
                Some(value) => value,
                None => match shape_of(&path) {
                    // Present without more to say.
                    Some(Shape::Bool | Shape::Struct | Shape::Presence) => "true".to_owned(),
                    // An unknown name is reported with the rest of the configuration, so it must not eat a flag.
                    None if args.peek().is_none_or(|next| next.starts_with('-')) => {
                        "true".to_owned()
                    }
                    _ => args.next().cloned().ok_or_else(|| {
                        FlagError(format!("--{name} needs a value: write --{name}=value"))
                    })?,
                },
            };
            settings.set(path, value);
        }
        Ok(settings)
    }

    /// Reads environment variables with a prefix. Variables whose first name is no section are not ours: a
    /// Kubernetes service called `traefik` makes `TRAEFIK_SERVICE_HOST` and others.
    pub(super) fn from_env(env: &[(String, String)], prefix: &str) -> Self {
        let mut settings = Self::default();
        for (name, value) in env {
            let Some(rest) = strip_prefix_ignoring_case(name, prefix) else {
                continue;
            };
            if rest.eq_ignore_ascii_case(CONFIG_FILE) {
                settings.config_file = Some(value.clone());
                continue;
            }
            let mut path: Vec<String> = Vec::new();
            for part in rest.to_ascii_lowercase().split('_') {
                path.extend(split_index(part).map(str::to_owned));
            }
            let is_known = path
                .first()
                .is_some_and(|first| find([first.as_str()]).is_some());
            if is_known && path.iter().all(|part| !part.is_empty()) {
                settings.set(path, value.clone());
            }
        }
        // The environment has no order.
        settings.settings.sort();
        settings
    }

    fn set(&mut self, path: Vec<String>, value: String) {
        if let [name] = path.as_slice()
            && name.eq_ignore_ascii_case(CONFIG_FILE)
        {
            self.config_file = Some(value);
            return;
        }
        let same = self.settings.iter_mut().find(|(other, _)| {
            other.len() == path.len()
                && other
                    .iter()
                    .zip(&path)
                    .all(|(a, b)| a.eq_ignore_ascii_case(b))
        });
        match same {
            // A list may be given in several flags; of other options the last counts.
            Some((_, old)) if shape_of(&path) == Some(Shape::List) => {
                old.push(',');
                old.push_str(&value);
            }
            Some((_, old)) => *old = value,
            None => self.settings.push((path, value)),
        }
    }

    /// The settings as one tree.
    pub(super) fn into_tree(mut self) -> Node<'static> {
        // Longer paths first, so that `--api --api.insecure` finds a map when it comes to `--api`.
        self.settings
            .sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        let mut tree = Node::map();
        for (path, value) in self.settings {
            let mut node = &mut tree;
            for name in &path {
                node = node.field_mut(name);
            }
            let is_presence = value.is_empty() || value.eq_ignore_ascii_case("true");
            // "present" adds nothing to options below; any other value switches them off.
            if !(is_presence && matches!(node.value, Value::Map(_))) {
                *node = Node::scalar(value);
            }
        }
        index_lists(&mut tree, words());
        tree
    }
}

/// Where a list is expected, maps with indices as keys become lists.
fn index_lists(node: &mut Node<'static>, words: &[Word]) {
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    for entry in entries {
        let Some(word) = words
            .iter()
            .find(|word| word.name.eq_ignore_ascii_case(&entry.key))
        else {
            continue;
        };
        match (word.shape, &mut entry.node.value) {
            (Shape::List | Shape::Structs, Value::Map(items)) => {
                let mut items = std::mem::take(items);
                items.sort_by_key(|item| (index_of(&item.key), item.key.clone()));
                let mut list: Vec<Node<'static>> =
                    items.into_iter().map(|item| item.node).collect();
                list.iter_mut()
                    .for_each(|item| index_lists(item, &word.below));
                entry.node = Node::list(list);
            }
            (Shape::Map, Value::Map(items)) if !word.below.is_empty() => {
                for Entry { node, .. } in items {
                    index_lists(node, &word.below);
                }
            }
            _ => index_lists(&mut entry.node, &word.below),
        }
        entry.at = Position::NONE;
    }
}

fn index_of(key: &str) -> usize {
    key.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .unwrap_or(usize::MAX)
}

fn shape_of(path: &[String]) -> Option<Shape> {
    match path {
        [name] if name.eq_ignore_ascii_case(CONFIG_FILE) => Some(Shape::Text),
        _ => find(path.iter().map(String::as_str)).map(|word| word.shape),
    }
}

/// `entryPoints.web.http.tls.domains[0].main` to its names; `None` if one is empty.
fn flag_path(name: &str) -> Option<Vec<String>> {
    let path: Vec<String> = name
        .split('.')
        .flat_map(split_index)
        .map(str::to_owned)
        .collect();
    path.iter()
        .all(|part| !part.is_empty() && part != "[]")
        .then_some(path)
}

/// `domains[0]` to `domains` and `[0]`.
fn split_index(part: &str) -> impl Iterator<Item = &str> {
    let (name, index) = match part.find('[') {
        Some(at) if at > 0 && part.ends_with(']') => (&part[..at], Some(&part[at..])),
        _ => (part, None),
    };
    std::iter::once(name).chain(index)
}

fn strip_prefix_ignoring_case<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let head = name.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &name[prefix.len()..])
}

/// Replaces `$NAME` and `${NAME}` in a path by the environment's values, as shells do.
pub(super) fn expand<'t>(text: &'t str, env: &[(String, String)]) -> Cow<'t, str> {
    if !text.contains('$') {
        return Cow::Borrowed(text);
    }
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        expanded.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, next) = match after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        {
            Some((name, next)) => (name, next),
            None => {
                let len = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                after.split_at(len)
            }
        };
        if name.is_empty() {
            expanded.push('$');
        } else if let Some((_, value)) = env.iter().find(|(other, _)| other == name) {
            expanded.push_str(value);
        }
        rest = next;
    }
    expanded.push_str(rest);
    Cow::Owned(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Settings {
        Settings::from_flags(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn scalar(tree: &Node<'_>, path: &str) -> Option<String> {
        let mut node = tree;
        for key in path.split('.') {
            node = match key.parse::<usize>() {
                Ok(index) => node.as_list()?.get(index)?,
                Err(_) => node.field(key)?,
            };
        }
        node.as_scalar().map(str::to_owned)
    }

    #[test]
    fn flags_have_values_by_equals_sign_by_the_next_argument_or_none() {
        let tree = flags(&[
            "--entryPoints.web.address=:80",
            "--ENTRYPOINTS.web.asdefault",
            "-log.level",
            "DEBUG",
            "--api.insecure",
            "--api",
            "--accesslog=true",
            "--ping",
        ])
        .into_tree();
        for (path, value) in [
            ("entryPoints.web.address", ":80"),
            ("entryPoints.web.asDefault", "true"),
            ("log.level", "DEBUG"),
            ("api.insecure", "true"),
            ("accessLog", "true"),
            ("ping", "true"),
        ] {
            assert_eq!(scalar(&tree, path).as_deref(), Some(value), "{path}");
        }
    }

    #[test]
    fn a_switched_off_section_loses_its_options() {
        let tree = flags(&["--api.insecure", "--api=false"]).into_tree();
        assert_eq!(scalar(&tree, "api").as_deref(), Some("false"));
    }

    #[test]
    fn lists_take_commas_repetition_and_indices() {
        let tree = flags(&[
            "--entrypoints.web.http.middlewares=a",
            "--entrypoints.web.http.middlewares=b,c",
            "--entrypoints.web.http.tls.domains[1].main=two",
            "--entrypoints.web.http.tls.domains[0].main=one",
            "--entrypoints.web.http.tls.domains[0].sans=x,y",
            "--providers.precedence[0]=file",
        ])
        .into_tree();
        assert_eq!(
            scalar(&tree, "entryPoints.web.http.middlewares").as_deref(),
            Some("a,b,c")
        );
        assert_eq!(
            scalar(&tree, "entryPoints.web.http.tls.domains.0.main").as_deref(),
            Some("one")
        );
        assert_eq!(
            scalar(&tree, "entryPoints.web.http.tls.domains.1.main").as_deref(),
            Some("two")
        );
        assert_eq!(
            scalar(&tree, "providers.precedence.0").as_deref(),
            Some("file")
        );
    }

    #[test]
    fn flags_that_cannot_be_read_say_why() {
        for (arg, why) in [
            ("web", "flags begin with --"),
            ("--=x", "write --name=value"),
            ("--a..b=x", "path of names"),
            ("--log.level", "needs a value"),
        ] {
            let error = Settings::from_flags(&[arg.to_owned()]).unwrap_err();
            assert!(error.0.contains(why), "{arg}: {}", error.0);
        }
    }

    #[test]
    fn an_unknown_flag_does_not_eat_the_next_one() {
        let tree = flags(&["--api.insecurre", "--ping"]).into_tree();
        assert_eq!(scalar(&tree, "api.insecurre").as_deref(), Some("true"));
        assert_eq!(scalar(&tree, "ping").as_deref(), Some("true"));
    }

    #[test]
    fn the_config_file_flag_has_any_case() {
        assert_eq!(
            flags(&["--configfile=a.yml"]).config_file.as_deref(),
            Some("a.yml")
        );
        assert_eq!(
            flags(&["--configFile", "b.yml"]).config_file.as_deref(),
            Some("b.yml")
        );
    }

    #[test]
    fn environment_variables_are_paths_and_strangers_are_left_alone() {
        let env = [
            ("TRAEFIK_ENTRYPOINTS_WEB_ADDRESS", ":80"),
            ("traefik_api_insecure", "true"),
            ("TRAEFIK_ENTRYPOINTS_WEB_HTTP_TLS_DOMAINS_0_MAIN", "one"),
            ("TRAEFIK_SERVICE_HOST", "10.0.0.1"),
            ("TRAEFIK_CONFIGFILE", "x.yml"),
            ("TRAEFIK_", ""),
            ("HOME", "/root"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::from_env(&env, "TRAEFIK_");
        assert_eq!(settings.config_file.as_deref(), Some("x.yml"));
        let tree = settings.into_tree();
        assert_eq!(
            scalar(&tree, "entryPoints.web.address").as_deref(),
            Some(":80")
        );
        assert_eq!(scalar(&tree, "api.insecure").as_deref(), Some("true"));
        assert_eq!(
            scalar(&tree, "entryPoints.web.http.tls.domains.0.main").as_deref(),
            Some("one")
        );
        assert!(tree.field("service").is_none());
    }

    #[test]
    fn paths_expand_variables() {
        let env = [("HOME".to_owned(), "/h".to_owned())];
        for (text, expanded) in [
            ("$HOME/x", "/h/x"),
            ("${HOME}y", "/hy"),
            ("$NONE/x", "/x"),
            ("a$", "a$"),
        ] {
            assert_eq!(expand(text, &env), expanded);
        }
    }
}
