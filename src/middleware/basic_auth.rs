//! `basicAuth`: asks for a name and password (RFC 7617).

use std::sync::Arc;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::auth::StoredHash;
use super::rewrite::restart;
use super::{FieldError, FilterContext, LocalResponse, Verdict, path_edit};
use crate::config::dynamic::middleware as config;
use crate::http::{FieldName, Named, RequestHead, Token};

const DEFAULT_REALM: &str = "traefik";

/// Longest credentials that are looked at, in bytes; longer ones are wrong.
const MAX_CREDENTIALS_BYTES: usize = 4096;

/// Go's `base64.StdEncoding`: padded, stray bits in the last letter ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// A compiled `basicAuth`.
#[derive(Debug)]
pub struct BasicAuth {
    /// By name.
    users: Box<[(Box<str>, Arc<StoredHash>)]>,
    /// What the password of an unknown user is compared with, so that it takes as long.
    stand_in: Arc<StoredHash>,
    challenge: Box<str>,
    header_field: Option<FieldName>,
    remove_header: bool,
}

impl BasicAuth {
    pub(super) fn compile(
        config: &config::BasicAuth,
        read_file: &mut dyn FnMut(&str) -> std::io::Result<String>,
    ) -> Result<Self, FieldError> {
        let file = match &*config.users_file {
            "" => String::new(),
            path => read_file(path).map_err(|error| {
                FieldError::new("usersFile", format!("cannot read {path:?}: {error}"))
            })?,
        };
        let lines = file
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        let mut users: Vec<(Box<str>, Arc<StoredHash>)> = Vec::new();
        let listed = config.users.reveal().iter().map(|user| user.trim());
        for (entries, field) in [
            (
                &mut lines.enumerate() as &mut dyn Iterator<Item = (usize, &str)>,
                "usersFile",
            ),
            (&mut listed.enumerate(), "users"),
        ] {
            for (index, entry) in entries {
                let (name, hash) = parse_user(entry).ok_or_else(|| {
                    // The entry itself may hold a secret.
                    FieldError::new(
                        field,
                        format!("entry {} is not of the form name:hash", index + 1),
                    )
                })?;
                let hash = Arc::new(StoredHash::new(hash));
                match users.iter_mut().find(|(known, _)| **known == *name) {
                    // As in Traefik the last one counts, those of the file first.
                    Some(user) => user.1 = hash,
                    None => users.push((name.into(), hash)),
                }
            }
        }
        // The dearest, so that no user takes longer than one who does not exist.
        let stand_in = users.iter().max_by_key(|(_, hash)| hash.cost());
        let Some((_, stand_in)) = stand_in.cloned() else {
            let field = if config.users_file.is_empty() {
                "users"
            } else {
                "usersFile"
            };
            return Err(FieldError::new(
                field,
                "has no user; add one as name:hash, such as htpasswd prints",
            ));
        };
        users.sort_by(|a, b| a.0.cmp(&b.0));
        let header_field = match &*config.header_field {
            "" => None,
            name => Some(FieldName::parse(name).map_err(|e| FieldError::new("headerField", e))?),
        };
        Ok(BasicAuth {
            users: users.into(),
            stand_in,
            challenge: challenge(&config.realm),
            header_field,
            remove_header: config.remove_header,
        })
    }

    pub(super) fn request(&self, rq: &mut RequestHead, cx: &mut FilterContext<'_>) -> Verdict {
        // The credentials leave the shard's memory while the request is edited.
        let mut text = std::mem::take(&mut cx.memory.scratch.source);
        restart(&mut text);
        let verdict = match decode(rq, &mut text) {
            Some((user, password)) => self.check(user, password, rq, cx),
            None => self.refuse(cx),
        };
        // A password does not stay longer than needed.
        text.fill(0);
        cx.memory.scratch.source = text;
        verdict
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let unusable = self.users.iter().filter(|(_, hash)| !hash.is_usable());
        unusable
            .map(|(name, _)| {
                format!("basicAuth: the hash of user {name:?} is none of bcrypt, MD5-crypt and {{SHA}}; the user cannot log in")
            })
            .collect()
    }

    fn check(
        &self,
        user: &[u8],
        password: &[u8],
        rq: &mut RequestHead,
        cx: &mut FilterContext<'_>,
    ) -> Verdict {
        cx.username.clear();
        cx.username.push_str(&String::from_utf8_lossy(user));
        let found = self
            .users
            .binary_search_by(|(name, _)| name.as_bytes().cmp(user))
            .ok();
        let hash = found
            .and_then(|index| self.users.get(index))
            .map(|(_, hash)| hash);
        let hash = hash.filter(|hash| hash.is_usable());
        let can_match = hash.is_some();
        match cx
            .memory
            .auth
            .check(user, password, hash.unwrap_or(&self.stand_in), can_match)
        {
            Err(job) => return Verdict::Verify(job),
            Ok(false) => return self.refuse(cx),
            Ok(true) => {}
        }
        if let Some(name) = &self.header_field {
            path_edit::remove_with_aliases(&mut rq.fields, name.text());
            rq.fields.append(name, user);
        }
        if self.remove_header {
            rq.fields.remove(&Token::Authorization);
        }
        Verdict::Continue
    }

    fn refuse(&self, cx: &mut FilterContext<'_>) -> Verdict {
        let mut response = LocalResponse::empty(401)
            .with(&Token::ContentType, b"text/plain", cx.memory)
            .with(
                &Token::WwwAuthenticate,
                self.challenge.as_bytes(),
                cx.memory,
            );
        response.body = b"401 Unauthorized\n"[..].into();
        Verdict::Respond(response)
    }
}

/// A name never holds a control character: it goes into a header field.
fn parse_user(entry: &str) -> Option<(&str, &str)> {
    entry.split_once(':').filter(|(name, hash)| {
        !hash.contains(':') && !name.bytes().any(|byte| byte.is_ascii_control())
    })
}

/// The user and password of the first `Authorization` field, decoded into `text`.
fn decode<'t>(rq: &RequestHead, text: &'t mut Vec<u8>) -> Option<(&'t [u8], &'t [u8])> {
    let value = rq.fields.get(Token::Authorization)?;
    let (scheme, credentials) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Basic ") || credentials.len() > MAX_CREDENTIALS_BYTES {
        return None;
    }
    text.resize(credentials.len(), 0);
    let length = BASE64.decode_slice(credentials, text).ok()?;
    text.truncate(length);
    let colon = memchr::memchr(b':', text)?;
    Some((&text[..colon], &text[colon + 1..]))
}

/// `Basic realm="…"`, the realm as a quoted string (RFC 9110 §5.6.4; Traefik does not quote).
fn challenge(realm: &str) -> Box<str> {
    let realm = if realm.is_empty() {
        DEFAULT_REALM
    } else {
        realm
    };
    let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
    format!("Basic realm=\"{quoted}\"").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;

    #[test]
    fn who_does_not_exist_costs_what_the_dearest_hash_costs() {
        let hashes = [
            "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "b:$2y$05$abcdefghijklmnopqrstuuU2K5R7qLTyTMXPlRa2ZVcGQmqG8JQiq",
            "c:none",
            "d:$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1",
            "e:$2y$08$abcdefghijklmnopqrstuuU2K5R7qLTyTMXPlRa2ZVcGQmqG8JQiq",
        ];
        for (dearest, of) in [("e", 5), ("b", 4), ("a", 1)] {
            let config = config::BasicAuth {
                users: Secret::new(hashes[..of].iter().map(|&user| user.into()).collect()),
                ..config::BasicAuth::default()
            };
            let auth = BasicAuth::compile(&config, &mut |_| unreachable!()).expect("good users");
            let (_, hash) = auth
                .users
                .iter()
                .find(|(name, _)| **name == *dearest)
                .expect("listed");
            assert!(
                Arc::ptr_eq(hash, &auth.stand_in),
                "{dearest} of {of}: {:?}",
                auth.stand_in
            );
        }
    }
}
