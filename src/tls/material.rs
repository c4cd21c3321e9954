//! Certificates and keys as the configuration gives them: a file's path, or PEM text itself (Traefik:
//! `FileOrContent`). Not here: what they are used for.

/// PEM text from an option's value, which is either that text or the path of a file that holds it.
///
/// # Errors
/// The file cannot be read, or holds no PEM; the text says so without any content.
pub fn pem(value: &str) -> Result<Vec<u8>, String> {
    const MARK: &str = "-----BEGIN ";
    if value.contains(MARK) {
        return Ok(value.as_bytes().to_vec());
    }
    let content =
        std::fs::read(value).map_err(|error| format!("{value:?} cannot be read: {error}"))?;
    let has_pem = memchr::memmem::find(&content, MARK.as_bytes()).is_some();
    has_pem
        .then_some(content)
        .ok_or_else(|| format!("{value:?} holds no PEM text (no line \"{MARK}…\")"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_taken_as_it_is_and_a_path_is_read() {
        let text = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
        assert_eq!(pem(text).unwrap(), text.as_bytes());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        std::fs::write(&path, text).unwrap();
        assert_eq!(pem(path.to_str().unwrap()).unwrap(), text.as_bytes());
    }

    #[test]
    fn what_is_no_pem_is_named_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.der");
        std::fs::write(&path, "hunter2").unwrap();
        let error = pem(path.to_str().unwrap()).unwrap_err();
        assert!(
            error.contains("ca.der") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(pem("/no/such/file").unwrap_err().contains("cannot be read"));
    }
}
