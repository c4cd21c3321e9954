//! The tree in force on disk, for a start without its store: `<ringway.stateDir>/<provider>.kv`.
//!
//! ```text
//!  ringway-kv 1\n │ header's length │ header (JSON) │ (key's length, key, value's length, value)… │ SHA-1 of all before
//! ```
//!
//! Lengths are 32 bits, little-endian. The checksum finds damage, not forgery: who can write the file can configure
//! the proxy. It holds values as the store has them, secrets included, and is readable by its owner alone.
//!
//! Not here: when to write and whether to use what was read (`session`, `in_force`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

use super::store::Revision;

/// The first line: what the file is, and its format's version.
const MAGIC: &[u8] = b"ringway-kv 1\n";

/// The largest file that is read; a tree of 100,000 routers takes some 30 MiB.
pub const MAX_SAVED_BYTES: u64 = 1 << 30;

const CHECKSUM_BYTES: usize = 20;

/// Which state of which store a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The provider's name.
    pub provider: String,
    /// The root in force, without trailing slash.
    pub root: String,
    /// The alias key that named it, if one did.
    pub alias_key: Option<String>,
    /// The store's identity, if it has one.
    pub store_id: Option<u64>,
    /// The store's state.
    pub revision: u64,
    /// When it was saved, as RFC 3339 has it.
    pub time: String,
}

impl Header {
    /// The store's state.
    pub fn revision(&self) -> Revision {
        Revision(self.revision)
    }
}

/// A saved tree: its pairs' keys are relative to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Which state it is.
    pub header: Header,
    /// Its pairs.
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Where a provider's state lies.
pub fn path(state_dir: &Path, provider: &str) -> PathBuf {
    state_dir.join(format!("{provider}.kv"))
}

/// A file's content while it is put together.
pub struct Content(Vec<u8>);

impl Content {
    /// The content of a file without pairs.
    ///
    /// # Errors
    /// The header is too long.
    pub fn new(header: &Header) -> io::Result<Self> {
        let mut content = MAGIC.to_vec();
        push(&mut content, &serde_json::to_vec(header)?)?;
        Ok(Self(content))
    }

    /// Adds a pair.
    ///
    /// # Errors
    /// It is too long.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        push(&mut self.0, key)?;
        push(&mut self.0, value)
    }
}

fn push(content: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::other("a key or value is longer than 4 GiB"))?;
    content.extend_from_slice(&length.to_le_bytes());
    content.extend_from_slice(bytes);
    Ok(())
}

/// Writes a content with its checksum, so that the file is the old one or the new one at any time.
///
/// # Errors
/// Those of the file system, with the path.
pub fn write(path: &Path, Content(content): &Content) -> io::Result<()> {
    let temporary = path.with_extension("kv.new");
    let written = write_whole(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|error| {
        // What cannot be written cannot be relied upon to go away either.
        let _ = fs::remove_file(&temporary);
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })?;
    // The rename itself survives a power cut only with its directory. A file system that cannot do that loses nothing
    // but the newest state.
    if let Some(directory) = path.parent() {
        let _ = File::open(directory).and_then(|directory| directory.sync_all());
    }
    Ok(())
}

fn write_whole(temporary: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = temporary.parent() {
        fs::create_dir_all(directory)?;
    }
    // A left-over of a crash may have other permissions.
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)?;
    file.write_all(content)?;
    file.write_all(&Sha1::digest(content))?;
    file.sync_all()
}

/// Reads a saved tree; `None` if there is none.
///
/// # Errors
/// Why the file cannot be used, for people.
pub fn read(path: &Path) -> Result<Option<Saved>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    let mut content = Vec::new();
    file.take(MAX_SAVED_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    if content.len() as u64 > MAX_SAVED_BYTES {
        return Err(format!(
            "{}: it is larger than {MAX_SAVED_BYTES} bytes",
            path.display()
        ));
    }
    match decode(&content) {
        Ok(saved) => Ok(Some(saved)),
        Err(reason) => Err(format!("{}: {reason}", path.display())),
    }
}

fn decode(content: &[u8]) -> Result<Saved, String> {
    let Some(mut rest) = content.strip_prefix(MAGIC) else {
        return Err("it is no saved tree of keys in the format of this version".into());
    };
    let Some((body, checksum)) = content.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err("it is cut short".into());
    };
    if Sha1::digest(body).as_slice() != checksum {
        return Err("it is damaged: its checksum does not match".into());
    }
    // The magic is longer than nothing, so that the rest ends with the checksum as the body does.
    rest = rest
        .get(..rest.len().saturating_sub(CHECKSUM_BYTES))
        .unwrap_or_default();
    let damaged = || "it is damaged: a length points beyond its end".to_owned();
    let header = take(&mut rest).ok_or_else(damaged)?;
    let header = serde_json::from_slice(header)
        .map_err(|error| format!("its header cannot be read: {error}"))?;
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let key = take(&mut rest).ok_or_else(damaged)?.to_vec();
        let value = take(&mut rest).ok_or_else(damaged)?.to_vec();
        pairs.push((key, value));
    }
    Ok(Saved { header, pairs })
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (bytes, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn saved(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Saved {
        let header = Header {
            provider: "etcd".into(),
            root: "traefik".into(),
            alias_key: None,
            store_id: Some(7),
            revision: 42,
            time: "2026-01-02T03:04:05Z".into(),
        };
        Saved { header, pairs }
    }

    fn write_saved(path: &Path, saved: &Saved) {
        let mut content = Content::new(&saved.header).unwrap();
        for (key, value) in &saved.pairs {
            content.push(key, value).unwrap();
        }
        write(path, &content).unwrap();
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            let directory = tempfile::tempdir().unwrap();
            let path = path(directory.path(), "etcd");
            let saved = saved(pairs);
            write_saved(&path, &saved);
            prop_assert_eq!(read(&path).unwrap(), Some(saved));
        }

        #[test]
        fn no_damage_is_taken_for_a_tree(at in 0usize..200, bit in 0u8..8, cut: bool) {
            let directory = tempfile::tempdir().unwrap();
            let path = path(directory.path(), "etcd");
            write_saved(&path, &saved(vec![(b"a/b".to_vec(), b"1".to_vec())]));
            let mut content = fs::read(&path).unwrap();
            let at = at % content.len();
            if cut {
                content.truncate(at);
            } else {
                content[at] ^= 1 << bit;
            }
            fs::write(&path, content).unwrap();
            let error = read(&path).unwrap_err();
            prop_assert!(error.contains("etcd.kv"), "{}", error);
        }
    }

    #[test]
    fn a_missing_file_is_no_error_and_no_tree() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(&path(directory.path(), "etcd")), Ok(None));
    }

    #[test]
    fn only_the_owner_may_read_it_whatever_lay_there_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = path(&directory.path().join("made/on/demand"), "etcd");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        for left_over in [path.clone(), path.with_extension("kv.new")] {
            fs::write(&left_over, "left over").unwrap();
            fs::set_permissions(&left_over, fs::Permissions::from_mode(0o644)).unwrap();
        }
        write_saved(&path, &saved(Vec::new()));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!path.with_extension("kv.new").exists());
    }

    #[test]
    fn a_state_that_cannot_be_written_says_where() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        let path = path(&directory.path().join("file"), "etcd");
        let error = write(&path, &Content(Vec::new())).unwrap_err();
        assert!(error.to_string().contains("file/etcd.kv"), "{error}");
    }
}
