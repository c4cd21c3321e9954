//! URLs as a `Location` field carries them.
//!
//! A rewritten URL is text from a template and from the request. [`write`] brings it to the form that
//! Go's `url.Parse` and `URL.String` give it: scheme in lower case, what a path or fragment cannot hold
//! percent-encoded, the query as it stands; and refuses what is no URL. Valid escapes stay as they are.

/// A text that is no URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidUrl;

/// Appends `url` in its written form.
pub(super) fn write(url: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidUrl> {
    if url.iter().any(u8::is_ascii_control) {
        return Err(InvalidUrl);
    }
    let (url, fragment) = split_at_byte(url, b'#');
    let (scheme, rest) = split_scheme(url)?;
    if let Some(scheme) = scheme {
        out.extend(scheme.iter().map(u8::to_ascii_lowercase));
        out.push(b':');
    }
    let (rest, query) = split_at_byte(rest, b'?');
    match rest {
        [b'/', b'/', after @ ..] if scheme.is_some() || after.first() != Some(&b'/') => {
            let end = memchr::memchr(b'/', after).unwrap_or(after.len());
            let (authority, path) = after.split_at(end);
            out.extend_from_slice(b"//");
            write_authority(authority, out)?;
            escape(path, is_path_byte, out)?;
        }
        [b'/', ..] | [] => escape(rest, is_path_byte, out)?,
        // `mailto:x`: not a path, Go writes it as it is.
        _ if scheme.is_some() => out.extend_from_slice(rest),
        _ => {
            let first = rest.split(|&byte| byte == b'/').next().unwrap_or_default();
            if first.contains(&b':') {
                return Err(InvalidUrl);
            }
            escape(rest, is_path_byte, out)?;
        }
    }
    if let Some(query) = query {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
        out.push(b'#');
        escape(fragment, is_fragment_byte, out)?;
    }
    Ok(())
}

fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(byte, text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// RFC 3986 §3.1; a text whose first byte is `:` is an error, one without a valid scheme has none.
fn split_scheme(url: &[u8]) -> Result<(Option<&[u8]>, &[u8]), InvalidUrl> {
    for (at, byte) in url.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(InvalidUrl),
            b':' => return Ok((Some(&url[..at]), &url[at + 1..])),
            _ => break,
        }
    }
    Ok((None, url))
}

fn write_authority(authority: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidUrl> {
    let host = match memchr::memrchr(b'@', authority) {
        Some(at) => {
            let (user, host) = (&authority[..at], &authority[at + 1..]);
            escape(
                user,
                |byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte),
                out,
            )?;
            out.push(b'@');
            host
        }
        None => authority,
    };
    let (name, port) = match host {
        [b'[', rest @ ..] => {
            let end = memchr::memchr(b']', rest).ok_or(InvalidUrl)?;
            host.split_at(end + 2)
        }
        _ => host.split_at(memchr::memrchr(b':', host).unwrap_or(host.len())),
    };
    match port {
        [] => {}
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {}
        _ => return Err(InvalidUrl),
    }
    if name
        .iter()
        .any(|&byte| byte.is_ascii() && !is_host_byte(byte))
    {
        return Err(InvalidUrl);
    }
    escape(name, is_host_byte, out)?;
    out.extend_from_slice(port);
    Ok(())
}

/// Appends `text`; bytes for which `stands` does not hold are percent-encoded, escapes are kept.
fn escape(text: &[u8], stands: fn(u8) -> bool, out: &mut Vec<u8>) -> Result<(), InvalidUrl> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for (at, &byte) in text.iter().enumerate() {
        if byte == b'%' {
            match text.get(at + 1..at + 3) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => out.push(byte),
                _ => return Err(InvalidUrl),
            }
        } else if stands(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[
                b'%',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]);
        }
    }
    Ok(())
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/[]".contains(&byte)
}

fn is_fragment_byte(byte: u8) -> bool {
    is_path_byte(byte) || byte == b'?'
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]<>\"".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(url: &str) -> Option<String> {
        let mut out = Vec::new();
        write(url.as_bytes(), &mut out).ok()?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn urls_are_written_as_go_writes_them() {
        for (url, expected) in [
            ("https://x/", Some("https://x/")),
            ("HTTPS://Host.TEST/a", Some("https://Host.TEST/a")),
            ("http://a/b c?d e", Some("http://a/b%20c?d e")),
            ("http://a/%2f%2F|\"", Some("http://a/%2f%2F%7C%22")),
            ("http://a/é?é#é", Some("http://a/%C3%A9?é#%C3%A9")),
            (
                "http://a/b?c=http://d/%zz",
                Some("http://a/b?c=http://d/%zz"),
            ),
            ("http://a/b?", Some("http://a/b?")),
            ("http://a/b?#", Some("http://a/b?")),
            ("https://a/b#frag x", Some("https://a/b#frag%20x")),
            ("http://[::1]:8080/x", Some("http://[::1]:8080/x")),
            ("http://user:pw@a:1/x", Some("http://user:pw@a:1/x")),
            ("https:///a?b", Some("https:///a?b")),
            ("/x/y", Some("/x/y")),
            ("//other/x", Some("//other/x")),
            ("x/y", Some("x/y")),
            ("mailto:x y", Some("mailto:x y")),
            ("", Some("")),
            ("http://[::1", None),
            ("http://a b/", None),
            ("http://a/%zz", None),
            ("http://a/%2", None),
            ("http://a:b/", None),
            ("http://::1:80/", Some("http://::1:80/")),
            ("http://a/\n", None),
            (":x", None),
            ("1:x", None),
            ("a!b:x", None),
        ] {
            assert_eq!(written(url).as_deref(), expected, "{url}");
        }
    }
}
