//! What a server's pushes say about keys.

use redis::{PushInfo, PushKind, Value};

use crate::provider::kv::signals::Signals;

/// Takes in what the server pushed. `channel` is what notifications of this database begin with.
pub(crate) fn take_in(signals: &Signals, push: &PushInfo, channel: &str) {
    let notified = |at: usize| match push.data.get(at) {
        Some(Value::BulkString(name)) => name.strip_prefix(channel.as_bytes()),
        _ => None,
    };
    match (&push.kind, push.data.first()) {
        (PushKind::Invalidate, Some(Value::Array(keys))) => {
            for key in keys {
                if let Value::BulkString(key) = key {
                    signals.changed(key);
                }
            }
        }
        // The whole server was emptied.
        (PushKind::Invalidate, _) => signals.lose_track(),
        (PushKind::PMessage, _) => notified(1).into_iter().for_each(|key| signals.changed(key)),
        (PushKind::Disconnection, _) => signals.broken(),
        _ => {}
    }
}

/// A text as a pattern that only it matches.
pub(crate) fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::provider::kv::store::{Revision, Scope};

    const CHANNEL: &str = "__keyspace@0__:";

    fn invalidated(keys: &[&str]) -> PushInfo {
        let keys = keys
            .iter()
            .map(|key| Value::BulkString(key.as_bytes().to_vec()));
        PushInfo {
            kind: PushKind::Invalidate,
            data: vec![Value::Array(keys.collect())],
        }
    }

    fn notified(channel: &str) -> PushInfo {
        let texts = ["pattern", channel, "set"];
        PushInfo {
            kind: PushKind::PMessage,
            data: texts
                .map(|text| Value::BulkString(text.as_bytes().to_vec()))
                .into(),
        }
    }

    #[tokio::test]
    async fn pushes_name_keys_of_this_database() {
        let signals = Signals::default();
        let interest = signals.listed(Scope::Prefix("t/"), Revision(5));
        take_in(&signals, &invalidated(&["t/a", "t2/b"]), CHANNEL);
        take_in(&signals, &notified("__keyspace@0__:t/c"), CHANNEL);
        take_in(&signals, &notified("__keyspace@1__:t/d"), CHANNEL);
        let read = RefCell::new(Vec::new());
        let settled = interest.settle(
            async || Ok(()),
            async |keys| {
                let keys = keys.iter().cloned();
                read.borrow_mut()
                    .extend(keys.map(|key| String::from_utf8(key).unwrap()));
                Ok(())
            },
        );
        settled.await.unwrap();
        assert_eq!(read.into_inner(), ["t/a", "t/c"]);
    }

    #[test]
    fn an_emptied_server_means_list_again() {
        let signals = Signals::default();
        let interest = signals.listed(Scope::Prefix(""), Revision(1));
        let flushed = PushInfo {
            kind: PushKind::Invalidate,
            data: vec![Value::Nil],
        };
        take_in(&signals, &flushed, CHANNEL);
        assert!(interest.take_unknown() && !interest.take_unknown());
    }

    #[test]
    fn a_root_with_signs_of_patterns_is_matched_literally() {
        assert_eq!(literally(r"a*[b]?\"), r"a\*\[b\]\?\\");
    }
}
