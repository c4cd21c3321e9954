//! The generic tree that every configuration source becomes before it is decoded.
//!
//! ```text
//! YAML ─┐
//! TOML ─┤
//! KV   ─┼──► Node ──► decode (typed schema)
//! flags ┤
//! env  ─┘
//! ```
//!
//! Scalars are text: `8080`, `"8080"` and a KV value `8080` are the same node, as in Traefik. A node may borrow
//! from the source's text, so that a large file costs no copy per scalar. The tree knows nothing of the schema.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// A place in a source's text; sources without text (KV, flags) have [`Position::NONE`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, counted from 1; 0 when there is no text.
    pub line: u32,
    /// Column in characters, counted from 1; 0 when unknown.
    pub column: u32,
}

impl Position {
    /// No place: the value did not come from a text.
    pub const NONE: Self = Self { line: 0, column: 0 };

    /// A place by line and column, both counted from 1.
    pub const fn new(line: u32, column: u32) -> Self {
        Self { line, column }
    }

    /// The place as `(line, column)`, if there is one.
    pub const fn get(self) -> Option<(u32, u32)> {
        if self.line == 0 {
            None
        } else {
            Some((self.line, self.column))
        }
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One value of a source with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node<'a> {
    /// Where the value begins.
    pub at: Position,
    /// The value.
    pub value: Value<'a>,
}

/// What a [`Node`] holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// YAML's null: the decoder treats the key as if it were not there, as Traefik does.
    Null,
    /// A text, number or boolean in its canonical text form.
    Scalar(Cow<'a, str>),
    /// A list.
    List(Vec<Node<'a>>),
    /// Keys with values in the source's order; keys are unique byte for byte.
    Map(Vec<Entry<'a>>),
    /// A key of a key-value store with keys below it.
    Branch(Box<Branch<'a>>),
}

/// What only a key-value store can say: a key that may have a text of its own beside the keys below it, and whose keys
/// are a map's or a list's, which only the schema knows. It decodes as whatever is expected in its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch<'a> {
    /// The key's own value.
    pub text: Option<Cow<'a, str>>,
    /// The keys below it in their order; no two of them differ in case only. None and no text: a folder's empty marker.
    pub below: Vec<Entry<'a>>,
}

/// One key of a map with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'a> {
    /// The key as written.
    pub key: Cow<'a, str>,
    /// Where the key begins.
    pub at: Position,
    /// The value.
    pub node: Node<'a>,
}

impl<'a> Node<'a> {
    /// A node with a value and without a place.
    pub const fn new(value: Value<'a>) -> Self {
        Self {
            at: Position::NONE,
            value,
        }
    }

    /// A scalar without a place.
    pub fn scalar(text: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Value::Scalar(text.into()))
    }

    /// A list without a place.
    pub const fn list(items: Vec<Node<'a>>) -> Self {
        Self::new(Value::List(items))
    }

    /// An empty map without a place; fill it with [`Node::insert`].
    pub const fn map() -> Self {
        Self::new(Value::Map(Vec::new()))
    }

    /// The same node at a place.
    pub const fn at(mut self, at: Position) -> Self {
        self.at = at;
        self
    }

    /// Whether this is YAML's null.
    pub const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The text of a scalar, or the own text of a key with others below it.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            Value::Branch(branch) => branch.text.as_deref(),
            _ => None,
        }
    }

    /// The text of a scalar.
    pub fn as_scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn as_list(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a map, or what is below a key.
    pub fn as_map(&self) -> Option<&[Entry<'a>]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Branch(branch) => Some(&branch.below),
            _ => None,
        }
    }

    /// The value of a field, its name compared without regard to ASCII case (Traefik: EqualFold).
    pub fn field(&self, name: &str) -> Option<&Node<'a>> {
        self.as_map()?
            .iter()
            .find(|entry| entry.key.eq_ignore_ascii_case(name))
            .map(|entry| &entry.node)
    }

    /// The value for a key byte for byte.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        self.as_map()?
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
    }

    /// The value of a field compared without regard to case, inserted as null if it is missing. A node that is
    /// not a map becomes an empty one first. Sources that arrive as paths (flags, environment) build with it; it looks
    /// at every key of the map, so a source with very many keys groups them itself and builds [`Value::Map`] directly.
    pub fn field_mut(&mut self, name: &str) -> &mut Node<'a> {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else {
            unreachable!("made a map above");
        };
        let found = entries
            .iter()
            .position(|entry| entry.key.eq_ignore_ascii_case(name));
        let index = found.unwrap_or_else(|| {
            entries.push(Entry {
                key: Cow::Owned(name.to_owned()),
                at: Position::NONE,
                node: Node::new(Value::Null),
            });
            entries.len() - 1
        });
        &mut entries[index].node
    }

    /// Adds a key to a map, replacing the value of an equal key. A node that is not a map becomes one.
    pub fn insert(&mut self, key: impl Into<Cow<'a, str>>, node: Node<'a>) -> &mut Self {
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let key = key.into();
        if let Value::Map(entries) = &mut self.value {
            match entries.iter_mut().find(|entry| entry.key == key) {
                Some(entry) => entry.node = node,
                None => entries.push(Entry {
                    key,
                    at: Position::NONE,
                    node,
                }),
            }
        }
        self
    }

    /// What the node is, for error texts: `a map`, `a list`, `"text"`, `nothing`. Only a short word is quoted: a longer
    /// text in the wrong place may be a password.
    pub fn describe(&self) -> String {
        const LONGEST_WORD: usize = 16;
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar(text)
                if text.len() <= LONGEST_WORD
                    && text.bytes().all(|b| b.is_ascii_alphanumeric()) =>
            {
                format!("{text:?}")
            }
            Value::Scalar(_) => "a text".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
            Value::Branch(_) => "a key with others below it".to_owned(),
        }
    }

    /// The same tree without any borrow from the source's text.
    pub fn into_owned(self) -> Node<'static> {
        let value = match self.value {
            Value::Null => Value::Null,
            Value::Scalar(text) => Value::Scalar(Cow::Owned(text.into_owned())),
            Value::List(items) => Value::List(items.into_iter().map(Node::into_owned).collect()),
            Value::Map(entries) => Value::Map(owned(entries)),
            Value::Branch(branch) => Value::Branch(Box::new(Branch {
                text: branch.text.map(|text| Cow::Owned(text.into_owned())),
                below: owned(branch.below),
            })),
        };
        Node { at: self.at, value }
    }

    /// A 128-bit hash of the content, without places and in the source's order of keys.
    ///
    /// It decides whether an object must be decoded again. Two lanes of folded 64 × 64 → 128-bit products over
    /// tagged, length-prefixed content: with 10⁶ different objects over a process's life, the chance that any
    /// two collide is below 10⁻²⁶. It is not meant to resist an adversary, who would own the configuration anyway.
    pub fn content_hash(&self) -> ContentHash {
        let mut hasher = ContentHasher::new();
        hasher.node(self);
        hasher.finish()
    }
}

fn owned(entries: Vec<Entry<'_>>) -> Vec<Entry<'static>> {
    let owned = entries.into_iter().map(|entry| Entry {
        key: Cow::Owned(entry.key.into_owned()),
        at: entry.at,
        node: entry.node.into_owned(),
    });
    owned.collect()
}

/// See [`Node::content_hash`]. Aligned to 8 bytes, because there is one per object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHash {
    high: u64,
    low: u64,
}

impl ContentHash {
    /// The hash of a text that stands for itself, distinguished from equal texts by `kind`.
    pub fn of_text(kind: u8, text: &str) -> Self {
        let mut hasher = ContentHasher::new();
        hasher.word(5 << 56 | u64::from(kind));
        hasher.text(text);
        hasher.finish()
    }

    /// The hash of an entry's key and content, distinguished from equal entries by `kind`.
    pub fn of_entry(kind: u8, key: &str, node: &Node<'_>) -> Self {
        let mut hasher = ContentHasher::new();
        hasher.word(6 << 56 | u64::from(kind));
        hasher.text(key);
        hasher.node(node);
        hasher.finish()
    }

    /// Another hash that is as unique; no content has it.
    pub const fn inverted(self) -> Self {
        Self {
            high: !self.high,
            low: !self.low,
        }
    }
}

impl Hash for ContentHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Every bit is as good as any other.
        state.write_u64(self.low);
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

/// Two independent multiply-and-fold lanes.
struct ContentHasher {
    low: u64,
    high: u64,
}

impl ContentHasher {
    // Odd constants with about half of their bits set (fractional digits of π and e).
    const LOW: u64 = 0x243f_6a88_85a3_08d3;
    const HIGH: u64 = 0xb7e1_5162_8aed_2a6b;

    const fn new() -> Self {
        Self {
            low: Self::HIGH,
            high: Self::LOW,
        }
    }

    fn word(&mut self, word: u64) {
        self.low = fold(self.low ^ word, Self::LOW);
        self.high = fold(self.high ^ word.rotate_left(32), Self::HIGH);
    }

    fn text(&mut self, text: &str) {
        self.word(text.len() as u64);
        let mut chunks = text.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn node(&mut self, node: &Node<'_>) {
        match &node.value {
            Value::Null => self.word(1 << 56),
            Value::Scalar(text) => {
                self.word(2 << 56);
                self.text(text);
            }
            Value::List(items) => {
                self.word(3 << 56 | items.len() as u64);
                items.iter().for_each(|item| self.node(item));
            }
            Value::Map(entries) => {
                self.word(4 << 56 | entries.len() as u64);
                self.entries(entries);
            }
            Value::Branch(branch) => {
                self.word(7 << 56 | branch.below.len() as u64);
                match &branch.text {
                    None => self.word(1 << 56),
                    Some(text) => {
                        self.word(2 << 56);
                        self.text(text);
                    }
                }
                self.entries(&branch.below);
            }
        }
    }

    fn entries(&mut self, entries: &[Entry<'_>]) {
        for entry in entries {
            self.text(&entry.key);
            self.node(&entry.node);
        }
    }

    fn finish(mut self) -> ContentHash {
        self.word(0x5a);
        ContentHash {
            high: self.high,
            low: self.low,
        }
    }
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    // The addition keeps a zero product from absorbing the lane for good.
    ((product >> 64) as u64 ^ product as u64).wrapping_add(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Node<'static> {
        let mut node = Node::map();
        node.insert("Rule", Node::scalar("Host(`a`)"));
        node.insert(
            "list",
            Node::list(vec![Node::scalar("a"), Node::scalar("b")]),
        );
        node
    }

    #[test]
    fn fields_are_found_without_regard_to_case_and_keys_byte_for_byte() {
        let node = sample();
        assert_eq!(
            node.field("rule").and_then(Node::as_scalar),
            Some("Host(`a`)")
        );
        assert!(node.get("rule").is_none());
        assert!(node.get("Rule").is_some());
    }

    #[test]
    fn the_content_hash_ignores_places_and_sees_every_difference() {
        let hash = sample().content_hash();
        assert_eq!(hash, sample().at(Position::new(3, 4)).content_hash());
        let mut other = sample();
        other.insert("Rule", Node::scalar("Host(`b`)"));
        assert_ne!(hash, other.content_hash());
        let joined = Node::list(vec![Node::scalar("ab")]);
        let split = Node::list(vec![Node::scalar("a"), Node::scalar("b")]);
        assert_ne!(joined.content_hash(), split.content_hash());
        assert_ne!(
            Node::map().content_hash(),
            Node::list(Vec::new()).content_hash()
        );
        assert_ne!(
            Node::scalar("").content_hash(),
            Node::new(Value::Null).content_hash()
        );
    }

    #[test]
    fn a_hash_has_no_collisions_among_many_similar_objects() {
        let mut seen = std::collections::HashSet::new();
        for i in 0..20_000 {
            let mut node = Node::map();
            node.insert("rule", Node::scalar(format!("Host(`h{i}.example`)")));
            let hash = node.content_hash();
            assert!(seen.insert(hash.low), "low lane collides at {i}");
            assert!(seen.insert(hash.high), "high lane collides at {i}");
        }
    }

    #[test]
    fn field_mut_builds_nested_maps() {
        let mut node = Node::map();
        *node.field_mut("a").field_mut("B") = Node::scalar("1");
        *node.field_mut("A").field_mut("c") = Node::scalar("2");
        assert_eq!(node.as_map().map(<[_]>::len), Some(1));
        assert_eq!(
            node.field("a")
                .and_then(|a| a.field("b"))
                .and_then(Node::as_scalar),
            Some("1")
        );
    }
}
