//! Stored passwords as htpasswd files hold them, and checking one.
//!
//! | form | what it is |
//! |---|---|
//! | `$2a$ $2b$ $2x$ $2y$` | bcrypt |
//! | `$apr1$salt$…`, `$1$salt$…` | MD5-crypt, Apache's and the original |
//! | `{SHA}…` | Base64 of SHA-1, without salt |
//!
//! Anything else never matches, as in Traefik; [`StoredHash::is_usable`] tells, for a warning.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Longest salt of MD5-crypt.
const MAX_SALT_BYTES: usize = 8;
const MD5_CRYPT_ROUNDS: usize = 1000;

/// A stored password hash.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredHash {
    text: Box<str>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bcrypt,
    Md5Crypt,
    Sha1,
    Unusable,
}

impl StoredHash {
    /// Takes a hash in one of the forms above.
    pub fn new(text: &str) -> StoredHash {
        let is_bcrypt = ["$2a$", "$2b$", "$2x$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix));
        let kind = if is_bcrypt {
            match text.parse::<bcrypt::HashParts>() {
                Ok(_) => Kind::Bcrypt,
                Err(_) => Kind::Unusable,
            }
        } else if text
            .strip_prefix("{SHA}")
            .is_some_and(|digest| digest.len() == 28)
        {
            Kind::Sha1
        } else if md5_crypt_parts(text).is_some() {
            Kind::Md5Crypt
        } else {
            Kind::Unusable
        };
        StoredHash {
            text: text.into(),
            kind,
        }
    }

    /// Whether any password can match.
    pub fn is_usable(&self) -> bool {
        self.kind != Kind::Unusable
    }

    /// Whether a check takes longer than a shard may spend: all but the plain SHA-1.
    pub fn is_slow(&self) -> bool {
        matches!(self.kind, Kind::Bcrypt | Kind::Md5Crypt)
    }

    /// Whether `password` is the one of this hash. Takes the same time for every wrong password of
    /// the same length.
    pub fn verify(&self, password: &[u8]) -> bool {
        match self.kind {
            Kind::Bcrypt => bcrypt::verify(password, &self.text).unwrap_or(false),
            Kind::Md5Crypt => match md5_crypt_parts(&self.text) {
                Some((magic, salt, digest)) => {
                    let computed = md5_crypt(password, magic.as_bytes(), salt.as_bytes());
                    computed.ct_eq(digest.as_bytes()).into()
                }
                None => false,
            },
            Kind::Sha1 => {
                let mut computed = [0; 28];
                let digest = Sha1::digest(password);
                // The length of 20 encoded bytes is 28: the buffer always suffices.
                let written = STANDARD
                    .encode_slice(digest, &mut computed)
                    .unwrap_or_default();
                let stored = self.text.strip_prefix("{SHA}").unwrap_or_default();
                computed[..written].ct_eq(stored.as_bytes()).into()
            }
            Kind::Unusable => false,
        }
    }

    /// How long a check takes, in rounds of its kind that take about a microsecond; 0 for one that nothing
    /// matches.
    pub fn cost(&self) -> u64 {
        match self.kind {
            // A round of bcrypt sets a key schedule up twice: some 50 µs.
            Kind::Bcrypt => {
                let rounds = self
                    .text
                    .parse()
                    .map_or(0, |parts: bcrypt::HashParts| parts.get_cost());
                50 << rounds.min(31)
            }
            Kind::Md5Crypt => MD5_CRYPT_ROUNDS as u64,
            Kind::Sha1 => 1,
            Kind::Unusable => 0,
        }
    }

    /// The hash's text, to tell hashes apart; not for logs.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Shows the kind and not the hash.
impl std::fmt::Debug for StoredHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.kind {
            Kind::Bcrypt => "StoredHash(bcrypt)",
            Kind::Md5Crypt => "StoredHash(md5-crypt)",
            Kind::Sha1 => "StoredHash(sha1)",
            Kind::Unusable => "StoredHash(unusable)",
        })
    }
}

/// Splits `$1$salt$digest` into the magic with its dollar signs, the salt and the digest.
fn md5_crypt_parts(text: &str) -> Option<(&str, &str, &str)> {
    let magic = ["$apr1$", "$1$"]
        .into_iter()
        .find(|magic| text.starts_with(magic))?;
    let (salt, digest) = text[magic.len()..].split_once('$')?;
    (digest.len() == 22 && salt.len() <= MAX_SALT_BYTES).then_some((magic, salt, digest))
}

/// Poul-Henning Kamp's MD5-crypt, as FreeBSD (`$1$`) and Apache (`$apr1$`) define it: a digest of the
/// password and salt, stirred a thousand times, in the alphabet of crypt(3).
fn md5_crypt(password: &[u8], magic: &[u8], salt: &[u8]) -> [u8; 22] {
    let sandwich = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut first = Md5::new()
        .chain_update(password)
        .chain_update(magic)
        .chain_update(salt);
    for part in password.chunks(16) {
        first.update(&sandwich[..part.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        first.update(if bits & 1 == 1 {
            &[0][..]
        } else {
            &password[..1]
        });
        bits >>= 1;
    }
    let mut digest = first.finalize();
    for round in 0..MD5_CRYPT_ROUNDS {
        let odd = round % 2 == 1;
        let mut hash = Md5::new();
        if odd {
            hash.update(password)
        } else {
            hash.update(digest)
        }
        if round % 3 != 0 {
            hash.update(salt);
        }
        if round % 7 != 0 {
            hash.update(password);
        }
        if odd {
            hash.update(digest)
        } else {
            hash.update(password)
        }
        digest = hash.finalize();
    }
    // Groups of three digest bytes in the order crypt(3) writes them, six bits per letter, lowest first.
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = [0; 22];
    let groups = ORDER.map(|[a, b, c]| {
        u32::from(digest[a]) << 16 | u32::from(digest[b]) << 8 | u32::from(digest[c])
    });
    let sixes = groups
        .iter()
        .flat_map(|group| (0..4).map(move |i| group >> (6 * i)));
    let last = u32::from(digest[11]);
    for (letter, six) in text.iter_mut().zip(sixes.chain([last, last >> 6])) {
        *letter = LETTERS[(six & 63) as usize];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_form_takes_its_password_and_no_other() {
        // Made with htpasswd and openssl passwd.
        for (hash, password) in [
            ("$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1", "pw"),
            ("$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/", "test"),
            ("$1$abcdefgh$G//4keteveJp0qb8z2DxG/", "password"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "password"),
            (
                "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
                "password",
            ),
        ] {
            let stored = StoredHash::new(hash);
            assert!(stored.is_usable(), "{hash}");
            assert!(stored.verify(password.as_bytes()), "{hash}");
            for wrong in ["", "Password", "password2", "passwor", "pw ", "\0"] {
                assert!(!stored.verify(wrong.as_bytes()), "{hash} {wrong:?}");
            }
        }
    }

    #[test]
    fn other_forms_never_match_and_say_so() {
        for hash in [
            "",
            "pw",
            "$5$abcdefgh$xxxx",
            "$2y$05$short",
            "{SHA}short",
            "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            "$1$nodigest",
            "$1$toolongsalt$irWbblnpmw.5z7wgBnprh0",
            "$apr1$",
            "$",
            "$$$",
        ] {
            let stored = StoredHash::new(hash);
            assert!(!stored.is_usable(), "{hash}");
            assert!(
                !stored.verify(hash.as_bytes()) && !stored.verify(b""),
                "{hash}"
            );
        }
    }

    #[test]
    fn long_and_binary_passwords_do_not_panic() {
        for hash in [
            "$apr1$abcdefgh$5VEbMkemELfbhC5ck.U.z1",
            "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
        ] {
            for password in [vec![0xff; 1000], vec![0; 73], b"a\0b".to_vec()] {
                assert!(!StoredHash::new(hash).verify(&password));
            }
        }
    }

    #[test]
    fn debug_output_hides_the_hash() {
        let stored = StoredHash::new("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=");
        assert_eq!(format!("{stored:?}"), "StoredHash(sha1)");
    }
}
