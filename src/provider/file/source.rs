//! Which files a file provider reads, and which directories must be watched to notice every change
//! of them. Only looks at the file system; reads no content.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Most nested directories that are searched; deeper ones are reported.
const MAX_DEPTH: usize = 32;

/// Most symbolic links followed for one path, as the kernel's own limit.
const MAX_LINKS: usize = 40;

/// Where the provider's configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `providers.file.filename`: this file, whatever its extension (Traefik: any but `.toml` is YAML).
    File(PathBuf),
    /// `providers.file.directory`: every `.toml`, `.yaml` and `.yml` file below it.
    Directory(PathBuf),
}

/// What a file is, without looking into it: equal identities mean equal content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// One file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// The path under the configured file or directory, as messages name it.
    pub path: PathBuf,
    /// The same file without symbolic links, as watch events name it.
    pub real_path: PathBuf,
    /// Changes when the file was replaced or written.
    pub identity: FileIdentity,
}

/// The result of looking.
#[derive(Debug, Default)]
pub struct Found {
    /// Files in the order of their definitions' precedence: by name, a directory's content where its
    /// name stands (Traefik: `ReadDir` order, the first definition wins).
    pub files: Vec<FoundFile>,
    /// Directories (without symbolic links) whose changes can change the result, with their inode.
    pub directories: BTreeMap<PathBuf, u64>,
    /// What could not be looked at: the path, and why as a text. Files known below such a path are not
    /// gone, they are out of sight.
    pub errors: Vec<(PathBuf, String)>,
}

impl Source {
    /// Looks at the file system now.
    pub fn find(&self) -> Found {
        let mut search = Search::default();
        match self {
            Self::File(path) => search.file(path),
            Self::Directory(path) => search.root(path),
        }
        search.found
    }

    /// The configured path.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::Directory(path) => path,
        }
    }
}

#[derive(Default)]
struct Search {
    found: Found,
    /// Directories on the way down, so that a link to a parent ends.
    open: BTreeSet<(u64, u64)>,
}

impl Search {
    fn file(&mut self, path: &Path) {
        let Some(real_path) = self.resolve(path) else {
            self.report(path, &io::Error::from(io::ErrorKind::NotFound));
            return;
        };
        match fs::metadata(&real_path) {
            Ok(metadata) if metadata.is_dir() => self.fail(
                path,
                "is a directory; name it under providers.file.directory instead of filename",
            ),
            Ok(metadata) => self.add(path.to_owned(), real_path, &metadata),
            Err(error) => self.report(path, &error),
        }
    }

    fn root(&mut self, path: &Path) {
        match self.resolve(path) {
            Some(real_path) if real_path.is_dir() => self.directory(path, &real_path, 0),
            Some(_) => {
                self.fail(
                    path,
                    "is not a directory; name a single file under providers.file.filename",
                );
            }
            None => self.report(path, &io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    fn directory(&mut self, path: &Path, real_path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            self.fail(
                path,
                &format!("is more than {MAX_DEPTH} directories deep and is not searched"),
            );
            return;
        }
        let Some(id) = self.watch(real_path) else {
            return;
        };
        if !self.open.insert(id) {
            return;
        }
        let mut names = Vec::new();
        match fs::read_dir(real_path) {
            Ok(entries) => names.extend(entries.filter_map(|entry| Some(entry.ok()?.file_name()))),
            Err(error) => self.report(path, &error),
        }
        names.sort();
        for name in names {
            let path = path.join(&name);
            let Some(real_path) = self.resolve_in(real_path, Path::new(&name)) else {
                // Vanished since the directory was read, or a dangling link: no definition.
                continue;
            };
            match fs::metadata(&real_path) {
                // Kubernetes keeps a volume's content in a hidden directory, `..data`, and links the
                // names to it: the hidden one is not content of its own.
                Ok(metadata) if metadata.is_dir() && !is_hidden_version(&path) => {
                    self.directory(&path, &real_path, depth + 1);
                }
                Ok(metadata) if metadata.is_file() && has_known_extension(&path) => {
                    self.add(path, real_path, &metadata);
                }
                _ => {}
            }
        }
        self.open.remove(&id);
    }

    fn add(&mut self, path: PathBuf, real_path: PathBuf, metadata: &fs::Metadata) {
        let identity = FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        };
        self.found.files.push(FoundFile {
            path,
            real_path,
            identity,
        });
    }

    fn report(&mut self, path: &Path, error: &io::Error) {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "does not exist (it is read as soon as it does)".to_owned(),
            _ => format!("cannot be read: {error}"),
        };
        self.fail(path, &reason);
    }

    fn fail(&mut self, path: &Path, reason: &str) {
        self.found
            .errors
            .push((path.to_owned(), format!("{} {reason}", path.display())));
    }

    /// Notes that a directory must be watched; `None` if it does not exist.
    fn watch(&mut self, directory: &Path) -> Option<(u64, u64)> {
        let metadata = fs::metadata(directory).ok()?;
        self.found
            .directories
            .insert(directory.to_owned(), metadata.ino());
        Some((metadata.dev(), metadata.ino()))
    }

    /// The path without symbolic links. Every directory in which a name on the way could change is
    /// watched; where the path ends early, the last directory that exists is.
    fn resolve(&mut self, path: &Path) -> Option<PathBuf> {
        let absolute = std::path::absolute(path).ok()?;
        let below = absolute.strip_prefix("/").ok()?;
        // Changes far above (say, of `/etc`) are not watched; a link or a missing name is.
        self.walk(Path::new("/"), below, false)
    }

    fn resolve_in(&mut self, directory: &Path, name: &Path) -> Option<PathBuf> {
        self.walk(directory, name, true)
    }

    fn walk(&mut self, start: &Path, rest: &Path, watched: bool) -> Option<PathBuf> {
        let mut current = start.to_owned();
        let mut todo: Vec<PathBuf> = reversed(rest);
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name.as_os_str() == ".." {
                current.pop();
                continue;
            }
            let next = current.join(&name);
            let Ok(metadata) = fs::symlink_metadata(&next) else {
                self.watch(&current);
                return None;
            };
            if metadata.file_type().is_symlink() {
                links += 1;
                self.watch(&current);
                let target = fs::read_link(&next).ok()?;
                if links > MAX_LINKS {
                    return None;
                }
                if target.is_absolute() {
                    current = PathBuf::from("/");
                }
                todo.extend(reversed(&target));
                continue;
            }
            // The last name: its directory is where a rename over it shows.
            if todo.is_empty() && !(watched && current == start) {
                self.watch(&current);
            }
            current = next;
        }
        Some(current)
    }
}

/// A path's names, last first; roots and `.` left out.
fn reversed(path: &Path) -> Vec<PathBuf> {
    path.components()
        .rev()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(PathBuf::from(name)),
            Component::ParentDir => Some(PathBuf::from("..")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// Whether a directory's file is configuration (Traefik: `.toml`, `.yaml`, `.yml`, in either case).
pub(super) fn has_known_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| {
            ["toml", "yaml", "yml"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        })
}

fn is_hidden_version(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b".."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(source: &Source, root: &Path) -> Vec<String> {
        let found = source.find();
        found
            .files
            .iter()
            .map(|file| file.path.strip_prefix(root).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn a_directory_is_read_in_name_order_with_subdirectories_in_place() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::create_dir(path.join("b")).unwrap();
        for name in [
            "c.yml",
            "a.toml",
            "b/z.yaml",
            "b/a.yml",
            "D.YML",
            "notes.txt",
            "4913",
            ".a.yml.swp",
            "c.yml~",
        ] {
            fs::write(path.join(name), "x").unwrap();
        }
        let source = Source::Directory(path.to_owned());
        assert_eq!(
            names(&source, path),
            ["D.YML", "a.toml", "b/a.yml", "b/z.yaml", "c.yml"]
        );
        let found = source.find();
        assert!(
            found
                .directories
                .contains_key(&path.join("b").canonicalize().unwrap())
        );
    }

    #[test]
    fn a_kubernetes_volume_has_each_file_once_and_its_version_directory_watched() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        fs::create_dir(path.join("..2024_1")).unwrap();
        fs::write(path.join("..2024_1/routes.yml"), "x").unwrap();
        symlink("..2024_1", path.join("..data")).unwrap();
        symlink("..data/routes.yml", path.join("routes.yml")).unwrap();
        let source = Source::Directory(path.clone());
        let found = source.find();
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.files[0].path, path.join("routes.yml"));
        assert_eq!(found.files[0].real_path, path.join("..2024_1/routes.yml"));
        assert!(found.directories.contains_key(&path));
        assert!(found.directories.contains_key(&path.join("..2024_1")));
    }

    #[test]
    fn a_link_out_of_the_directory_watches_where_the_file_really_is() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        fs::create_dir(path.join("conf")).unwrap();
        fs::create_dir(path.join("real")).unwrap();
        fs::write(path.join("real/a.yml"), "x").unwrap();
        symlink("../real/a.yml", path.join("conf/a.yml")).unwrap();
        let found = Source::File(path.join("conf/a.yml")).find();
        assert_eq!(found.files[0].real_path, path.join("real/a.yml"));
        assert!(found.directories.contains_key(&path.join("conf")));
        assert!(found.directories.contains_key(&path.join("real")));
    }

    #[test]
    fn a_missing_path_watches_the_last_directory_that_exists() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().canonicalize().unwrap();
        let found = Source::Directory(path.join("not/yet")).find();
        assert!(found.files.is_empty());
        assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
        assert_eq!(found.directories.keys().collect::<Vec<_>>(), [&path]);
    }

    #[test]
    fn a_link_to_a_parent_directory_ends() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        fs::write(path.join("a.yml"), "x").unwrap();
        symlink(".", path.join("loop")).unwrap();
        assert_eq!(names(&Source::Directory(path.to_owned()), path), ["a.yml"]);
    }

    #[test]
    fn a_link_to_itself_is_no_file() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path();
        symlink("a.yml", path.join("a.yml")).unwrap();
        assert!(names(&Source::Directory(path.to_owned()), path).is_empty());
    }

    #[test]
    fn a_rewritten_file_has_another_identity() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a.yml");
        fs::write(&file, "one").unwrap();
        let source = Source::File(file.clone());
        let before = source.find().files[0].identity;
        fs::write(root.path().join("b"), "two").unwrap();
        fs::rename(root.path().join("b"), &file).unwrap();
        assert_ne!(before, source.find().files[0].identity);
    }
}
