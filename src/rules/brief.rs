//! The short form of the commonest rules: `Host`, alone or with `PathPrefix`.
//!
//! NOT for: any other rule; those are evaluated node by node (see `rule`).

use super::host;
use super::rule::{Kind, Request, Rule};

/// All that decides a short rule of the commonest form, `Host` alone or with `PathPrefix`: evaluating it fetches nothing
/// but the rule's owner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Brief {
    /// Length of the host; 0 if the rule is of another form or too long.
    host: u8,
    /// Length of the prefix; 0 if there is none.
    path: u8,
    /// Host and prefix.
    text: [u8; BRIEF],
}

/// Most bytes of host and prefix together in a [`Brief`]. With so many a route takes two cache lines, and its rule is in
/// the first.
const BRIEF: usize = 22;

impl Brief {
    /// The short form of a rule, if it has one.
    pub fn of(rule: &Rule) -> Option<Brief> {
        let plain = |at, kind| {
            let node = rule.node(at);
            (node.kind == kind && !node.negated).then_some(node)
        };
        let (host, path) = match rule.len() {
            1 => (plain(0, Kind::Host)?, None),
            3 => {
                plain(0, Kind::All)?;
                (plain(1, Kind::Host)?, Some(plain(2, Kind::PathPrefix)?))
            }
            _ => return None,
        };
        let host = rule.operand(&host);
        let path = path.as_ref().map_or(&[][..], |path| rule.operand(path));
        let mut text = [0; BRIEF];
        text.get_mut(..host.len())?.copy_from_slice(host);
        text.get_mut(host.len()..host.len() + path.len())?
            .copy_from_slice(path);
        Some(Brief {
            // Both fit in the text.
            host: host.len() as u8,
            path: path.len() as u8,
            text,
        })
    }

    /// Whether the request matches; `None` if the rule has no short form.
    pub fn matches<R: Request>(&self, request: &R) -> Option<bool> {
        if self.host == 0 {
            return None;
        }
        let (host, rest) = self.text.split_at(usize::from(self.host));
        let path = &rest[..usize::from(self.path)];
        Some(host::equals(request.host().as_bytes(), host) && request.path().starts_with(path))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Get;
    use super::super::{RegexCaches, Syntax, parse};

    #[test]
    fn short_rules_of_the_commonest_form_are_evaluated_as_written() {
        // At the edge of what is held in short, and beyond it.
        for length in 15..=26 {
            let host = "h".repeat(length);
            let longer = format!("{host}h");
            for (rule, host, path, matched) in [
                (format!("Host(`{host}`)"), &*host, "*", true),
                (format!("Host(`{host}`)"), &longer, "/", false),
                (format!("Host(`{host}.`)"), &host, "/", true),
                (format!("!Host(`{host}`)"), &host, "/", false),
                (
                    format!("Host(`{host}`) && PathPrefix(`/a`)"),
                    &host,
                    "/ab",
                    true,
                ),
                (
                    format!("Host(`{host}`) && PathPrefix(`/a`)"),
                    &host,
                    "/b",
                    false,
                ),
                (
                    format!("Host(`{host}`) && PathPrefix(`/a`)"),
                    &longer,
                    "/a",
                    false,
                ),
                (
                    format!("Host(`{host}`) && !PathPrefix(`/a`)"),
                    &host,
                    "/a",
                    false,
                ),
                (
                    format!("!(Host(`{host}`) && PathPrefix(`/a`))"),
                    &host,
                    "/a",
                    false,
                ),
                (
                    format!("Host(`{host}`) || PathPrefix(`/a`)"),
                    &longer,
                    "/a",
                    true,
                ),
                (format!("Host(`{host}`) && Path(`/a`)"), &host, "/ab", false),
            ] {
                let request = Get::new(host, path);
                assert_eq!(
                    parse(&rule, Syntax::V3)
                        .unwrap()
                        .matches(&request, &mut RegexCaches::new()),
                    matched,
                    "{rule}: {host} {path}"
                );
            }
        }
    }
}
