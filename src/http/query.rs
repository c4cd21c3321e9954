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
