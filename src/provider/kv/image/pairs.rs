//! The pairs of one object in one allocation.
//!
//! ```text
//!  pair: shared  rest  value  rest of the key, value      http/routers/r1/entrypoints = web
//!          0      27     3    …                           http/routers/r1/rule = …
//!         16       4    20    …                            (shares 16 bytes with the key before)
//! ```
//!
//! Keys are whole (relative to the root) and in order; each is stored without what it shares with the one before, so that
//! an object's name stands once. Numbers are in groups of seven bits.

use crate::config::kv::{Content, Pair};

/// All pairs of one object in the order of their keys, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs(Box<[u8]>);

/// How much pairs are, as the store sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// How many.
    pub pairs: usize,
    /// Bytes of their keys and of the values that are kept.
    pub bytes: usize,
}

impl Size {
    /// The size of one pair.
    pub fn of(key: &[u8], value: Content<'_>) -> Self {
        let value = match value {
            Content::Bytes(value) => value.len(),
            Content::TooLong(_) => 0,
        };
        Self {
            pairs: 1,
            bytes: key.len() + value,
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.bytes += other.bytes;
    }

    /// Takes away what was added.
    pub fn remove(&mut self, other: Self) {
        self.pairs -= other.pairs;
        self.bytes -= other.bytes;
    }
}

impl Pairs {
    /// The smallest key.
    pub fn first_key(&self) -> &[u8] {
        let mut rest = &self.0[..];
        record(&mut rest).key
    }

    /// Gives all pairs to `read`.
    pub fn read<T>(&self, read: impl FnOnce(&[Pair<'_>]) -> T) -> T {
        let mut keys = Vec::new();
        let mut parts = Vec::new();
        let mut rest = &self.0[..];
        let mut last = 0;
        while !rest.is_empty() {
            let record = record(&mut rest);
            let start = keys.len();
            keys.extend_from_within(last..last + record.shared);
            keys.extend_from_slice(record.key);
            last = start;
            parts.push((start..keys.len(), record.value));
        }
        let pairs = parts.into_iter().map(|(key, value)| Pair {
            key: &keys[key],
            value,
        });
        read(&pairs.collect::<Vec<_>>())
    }

    /// How much this is.
    pub fn size(&self) -> Size {
        let mut size = Size::default();
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            let record = record(&mut rest);
            size.add(Size::of(record.key, record.value));
            size.bytes += record.shared;
        }
        size
    }

    /// Whether these are the pairs that were written.
    pub fn are(&self, written: &Writer) -> bool {
        *self.0 == *written.bytes
    }

    /// The bytes it takes.
    pub fn allocated(&self) -> usize {
        self.0.len()
    }
}

/// Pairs with changes made to them, which are in the order of their keys, too; `None` if no pair is left.
pub fn merged(pairs: &[Pair<'_>], changes: &[(&[u8], Option<Content<'_>>)]) -> Option<Pairs> {
    let mut writer = Writer::default();
    let mut pairs = pairs.iter().peekable();
    for (key, value) in changes {
        while let Some(pair) = pairs.next_if(|pair| pair.key < *key) {
            writer.push(pair.key, pair.value);
        }
        pairs.next_if(|pair| pair.key == *key);
        if let Some(value) = value {
            writer.push(key, *value);
        }
    }
    pairs.for_each(|pair| writer.push(pair.key, pair.value));
    writer.finish()
}

/// Writes pairs in the order of their keys.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    last_key: Vec<u8>,
    size: Size,
}

impl Writer {
    /// Adds a pair; its key is greater than the one before.
    pub fn push(&mut self, key: &[u8], value: Content<'_>) {
        debug_assert!(self.bytes.is_empty() || key > &self.last_key[..]);
        self.size.add(Size::of(key, value));
        let both = self.last_key.iter().zip(key);
        let shared = both.take_while(|(last, new)| last == new).count();
        let rest = &key[shared..];
        // Whether a value was kept is in the last bit of its length.
        let (length, value) = match value {
            Content::Bytes(value) => (value.len() << 1, value),
            Content::TooLong(bytes) => (bytes << 1 | 1, &[][..]),
        };
        for number in [shared, rest.len(), length] {
            self.number(number);
        }
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(value);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(rest);
    }

    /// What was written, if anything; the writer is empty again.
    pub fn finish(&mut self) -> Option<Pairs> {
        let pairs = (!self.bytes.is_empty()).then(|| Pairs(self.bytes.as_slice().into()));
        self.clear();
        pairs
    }

    /// How much was written.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.last_key.clear();
        self.size = Size::default();
    }

    fn number(&mut self, mut number: usize) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

/// One pair as it is stored.
struct Record<'a> {
    shared: usize,
    key: &'a [u8],
    value: Content<'a>,
}

fn record<'a>(rest: &mut &'a [u8]) -> Record<'a> {
    let shared = number(rest);
    let key = number(rest);
    let length = number(rest);
    let key = take(rest, key);
    let value = match length & 1 {
        0 => Content::Bytes(take(rest, length >> 1)),
        _ => Content::TooLong(length >> 1),
    };
    Record { shared, key, value }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    rest.split_off(..length)
        .expect("a record that was written whole")
}

fn number(rest: &mut &[u8]) -> usize {
    let mut number = 0;
    let mut shift = 0;
    loop {
        let byte = *rest
            .split_off_first()
            .expect("a number that was written whole");
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pairs: &Pairs) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        pairs.read(|pairs| {
            let pairs = pairs.iter().map(|pair| match pair.value {
                Content::Bytes(value) => (pair.key.to_vec(), Some(value.to_vec())),
                Content::TooLong(_) => (pair.key.to_vec(), None),
            });
            pairs.collect()
        })
    }

    #[test]
    fn what_is_written_is_read_and_changes_are_merged() {
        let mut writer = Writer::default();
        let long = vec![b'x'; 300];
        writer.push(b"a/b", Content::Bytes(&long));
        writer.push(b"a/c", Content::TooLong(1 << 20));
        let size = Size {
            pairs: 2,
            bytes: 306,
        };
        assert_eq!(writer.size(), size);
        let pairs = writer.finish().unwrap();
        assert_eq!((writer.size(), writer.finish()), (Size::default(), None));
        assert!(!pairs.are(&writer));
        writer.push(b"a/b", Content::Bytes(&long));
        assert!(!pairs.are(&writer));
        writer.push(b"a/c", Content::TooLong(1 << 20));
        assert!(pairs.are(&writer));
        assert_eq!(pairs.first_key(), b"a/b");
        assert_eq!(pairs.size(), size);
        let new = pairs.read(|pairs| {
            let changes: [(&[u8], _); 4] = [
                (b"a", Some(Content::Bytes(b""))),
                (b"a/b", None),
                (b"a/bb", None),
                (b"a/d", Some(Content::Bytes(b"1"))),
            ];
            merged(pairs, &changes).unwrap()
        });
        let expected = [
            (b"a".to_vec(), Some(Vec::new())),
            (b"a/c".to_vec(), None),
            (b"a/d".to_vec(), Some(b"1".to_vec())),
        ];
        assert_eq!(all(&new), expected);
        let changes: [(&[u8], _); 3] = [(b"a", None), (b"a/c", None), (b"a/d", None)];
        assert_eq!(new.read(|pairs| merged(pairs, &changes)), None);
    }
}
