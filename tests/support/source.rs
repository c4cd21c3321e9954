//! The repository's own text, for tests that judge it: tracked files, Rust code without comments and
//! literals, code without its tests, and the paths into the crate that code names.
//!
//! This is a scanner, not a parser: it knows comments, literals, braces and `use` trees, which is what the
//! rules need. A macro that builds paths would escape it; the compiler's privacy rules do not rely on it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that belongs to the project, relative to its root: tracked or new, but not ignored. Without
/// git (an unpacked archive) every file but build results.
pub fn project_files() -> Vec<PathBuf> {
    let git = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output();
    let mut files: Vec<PathBuf> = match git {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = output.stdout.split(|&byte| byte == 0);
            let names = names.filter(|name| !name.is_empty());
            names
                .map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned()))
                .collect()
        }
        _ => walk(root()),
    };
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    files
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![folder.to_path_buf()];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(&folder).expect("folder is readable").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_symlink() || name == "target" || name == ".git" || name == "__pycache__" {
                continue;
            }
            if path.is_dir() {
                pending.push(path);
            } else {
                let relative = path.strip_prefix(root()).expect("below the root");
                found.push(relative.to_path_buf());
            }
        }
    }
    found
}

/// The text of a file of the project; `None` if it is not UTF-8 (an image, say).
pub fn text(file: &Path) -> Option<String> {
    String::from_utf8(fs::read(root().join(file)).expect("project file is readable")).ok()
}

/// A Rust file, read and made ready for judging.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    /// As it is.
    pub text: String,
    /// With every comment and literal blanked out; lines and columns stay.
    pub code: String,
    /// `code` with everything that only tests see blanked out as well.
    pub product: String,
}

impl Source {
    /// The top-level module of `src/` that this file belongs to; `None` for `lib.rs` and `main.rs`.
    pub fn module(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        let module = below.split('/').next()?.trim_end_matches(".rs");
        (module != "lib" && module != "main").then_some(module)
    }
}

/// Every Rust file of the project whose path begins with one of `folders`.
pub fn rust_sources(folders: &[&str]) -> Vec<Source> {
    let files = project_files();
    let paths = files.iter().filter_map(|file| file.to_str());
    let paths: Vec<&str> = paths
        .filter(|path| {
            path.ends_with(".rs") && folders.iter().any(|folder| path.starts_with(folder))
        })
        .collect();
    let mut sources: Vec<Source> = paths
        .into_iter()
        .map(|path| {
            let text = text(Path::new(path)).unwrap_or_default();
            let code = blank_comments_and_literals(&text);
            let product = blank_test_items(&code);
            Source {
                path: path.to_owned(),
                text,
                code,
                product,
            }
        })
        .collect();
    let test_files: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let is_test = test_files.iter().any(|file| {
            source.path == *file
                || source
                    .path
                    .starts_with(&format!("{}/", file.trim_end_matches(".rs")))
        });
        if is_test {
            source.product = blank(&source.product);
        }
    }
    sources
}

/// The files of modules that are declared under `#[cfg(test)]` in `source`.
fn test_modules(source: &Source) -> Vec<String> {
    let folder = match source.path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
        _ => source.path.trim_end_matches(".rs").to_owned(),
    };
    let beside = source
        .path
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    let mut files = Vec::new();
    for (start, _) in source.code.match_indices("#[cfg(test)]") {
        let (declaration, end) = item_after(&source.code, start);
        if !declaration.ends_with(';') {
            continue;
        }
        let Some(name) = declaration.split("mod ").nth(1) else {
            continue;
        };
        let name = name.trim_end_matches(';').trim();
        let original = &source.text[start..end];
        match original
            .split("#[path = \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
        {
            Some(path) => files.push(format!("{beside}/{path}")),
            None => {
                files.push(format!("{folder}/{name}.rs"));
                files.push(format!("{folder}/{name}/mod.rs"));
            }
        }
    }
    // `name/mod.rs` stands for the whole folder.
    let folders = files
        .iter()
        .filter_map(|file| file.strip_suffix("/mod.rs"))
        .map(|folder| format!("{folder}.rs"));
    let folders: Vec<String> = folders.collect();
    files.extend(folders);
    files
}

/// The attributes and the item that begin at `start`, and where they end.
fn item_after(code: &str, start: usize) -> (&str, usize) {
    let bytes = code.as_bytes();
    let (mut round, mut curly) = (0_usize, 0_usize);
    for (at, &byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round = round.saturating_sub(1),
            b'{' => curly += 1,
            b'}' => {
                curly = curly.saturating_sub(1);
                if curly == 0 {
                    return (&code[start..=at], at + 1);
                }
            }
            b';' | b',' if round == 0 && curly == 0 => return (&code[start..=at], at + 1),
            _ => {}
        }
    }
    (&code[start..], code.len())
}

fn blank(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\n' { '\n' } else { ' ' })
        .collect()
}

fn blank_test_items(code: &str) -> String {
    let mut result = code.to_owned();
    let starts: Vec<usize> = code
        .match_indices("#[cfg(test)]")
        .map(|(at, _)| at)
        .collect();
    let mut done = 0;
    for start in starts {
        if start < done {
            continue;
        }
        let (item, end) = item_after(code, start);
        result.replace_range(start..end, &blank_bytes(item));
        done = end;
    }
    result
}

/// As [`blank`], but keeps the number of bytes.
fn blank_bytes(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' })
        .collect()
}

/// Replaces comments, string and character literals by spaces, byte for byte.
pub fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let length = if rest.starts_with(b"//") {
            rest.iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment(rest)
        } else if let Some(length) = raw_string(bytes, at) {
            length
        } else if rest[0] == b'"' {
            quoted(rest, b'"')
        } else if rest[0] == b'\'' {
            character(rest)
        } else {
            at += 1;
            continue;
        };
        for byte in &mut out[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length;
    }
    String::from_utf8(out).expect("whole literals were blanked")
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of the raw string that begins at `at`, its `r` included.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if bytes[at] != b'r' || (at > 0 && is_word(bytes[at - 1]) && bytes[at - 1] != b'b') {
        return None;
    }
    let hashes = bytes[at + 1..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let close: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    let body = &bytes[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close);
    Some(end.map_or(bytes.len() - at, |end| open + 1 + end + close.len() - at))
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a character literal; 1 for the quote of a lifetime.
fn character(rest: &[u8]) -> usize {
    match rest.get(1) {
        Some(b'\\') => quoted(rest, b'\''),
        Some(_) => {
            let first = std::str::from_utf8(&rest[1..rest.len().min(5)])
                .map_or_else(|error| error.valid_up_to(), str::len);
            let first = std::str::from_utf8(&rest[1..1 + first]).unwrap_or_default();
            let width = first.chars().next().map_or(1, char::len_utf8);
            if rest.get(1 + width) == Some(&b'\'') {
                width + 2
            } else {
                1
            }
        }
        None => 1,
    }
}

/// The modules of this crate that `code` names, as `(line, module)`: `crate::x…` and `use crate::{x, y::z}`.
pub fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (start, matched) in code.match_indices("crate::") {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let line = line_of(code, start);
        let rest = &code[start + matched.len()..];
        if rest.starts_with('{') {
            let (group, _) = item_after(rest, 0);
            for name in top_names(&group[1..group.len().saturating_sub(1)]) {
                found.push((line, name));
            }
        } else {
            found.push((line, first_word(rest)));
        }
    }
    found
}

/// The line of a byte offset, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

fn top_names(group: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut names = Vec::new();
    let mut from = 0;
    for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                names.push(first_word(group[from..at].trim_start()));
                from = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// Where `word` stands in `code` as a whole word, as lines.
pub fn lines_with_word(code: &str, word: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let hits = code.match_indices(word).filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    });
    hits.map(|(at, _)| line_of(code, at)).collect()
}
