//! Semicolons in queries: a second separator by default, an ordinary character on request.

use super::message::RequestHead;

/// What becomes of `;` in a query (`http.encodeQuerySemicolons`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semicolons {
    /// `;` separates parameters like `&`, and is forwarded as `&`.
    #[default]
    Separate,
    /// `;` is part of a value, and is forwarded as `%3B`.
    Encode,
}

/// Applies the choice to the query of `head`, before routing.
pub fn apply_semicolons(head: &mut RequestHead, semicolons: Semicolons) {
    if head
        .query()
        .is_none_or(|query| memchr::memchr(b';', query).is_none())
    {
        return;
    }
    head.edit_query(|text, start| match semicolons {
        Semicolons::Separate => {
            for byte in &mut text[start..] {
                if *byte == b';' {
                    *byte = b'&';
                }
            }
        }
        Semicolons::Encode => {
            let end = text.len();
            for at in start..end {
                match text[at] {
                    b';' => text.extend_from_slice(b"%3B"),
                    byte => text.push(byte),
                }
            }
            text.copy_within(end.., start);
            text.truncate(text.len() - (end - start));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::message::Method;

    fn applied(target: &str, semicolons: Semicolons) -> Option<String> {
        let mut head = RequestHead::build(Method::Get, target.as_bytes(), b"h").unwrap();
        apply_semicolons(&mut head, semicolons);
        head.query()
            .map(|query| String::from_utf8(query.to_vec()).unwrap())
    }

    #[test]
    fn semicolons_separate_or_are_encoded() {
        let separated = applied("/;?a=1;b=2;", Semicolons::Separate);
        assert_eq!(separated.as_deref(), Some("a=1&b=2&"));
        let encoded = applied("/;?a=1;b=2;", Semicolons::Encode);
        assert_eq!(encoded.as_deref(), Some("a=1%3Bb=2%3B"));
        for semicolons in [Semicolons::Separate, Semicolons::Encode] {
            assert_eq!(applied("/;", semicolons), None);
            assert_eq!(applied("/?", semicolons).as_deref(), Some(""));
            assert_eq!(applied("/?a&b%zz", semicolons).as_deref(), Some("a&b%zz"));
        }
    }
}
