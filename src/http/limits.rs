//! The limits of the HTTP/1 codec, by name.

/// What Go's server allows beyond `maxHeaderBytes`, and so Traefik does.
pub const HEADER_SLOP_BYTES: usize = 4096;

/// Limits on what a peer may send. Everything a parser keeps grows only up to one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest head of a request, start line included, in bytes, beside [`HEADER_SLOP_BYTES`]
    /// (`entryPoints.*.http.maxHeaderBytes`, default 1 MiB). Beyond it: 431.
    pub max_header_bytes: usize,
    /// Most field lines in a head or a trailer section, at most [`MOST_FIELDS`] (default
    /// [`MOST_FIELDS`]). Beyond it: 431.
    pub max_fields: usize,
    /// Largest head of a response, in bytes (default 10 MiB, as in Go's transport).
    pub max_response_header_bytes: usize,
    /// Largest trailer section, in bytes (default 64 KiB).
    pub max_trailer_bytes: usize,
}

/// Most field lines of a head that the codec ever takes.
pub const MOST_FIELDS: usize = 1000;

impl Limits {
    /// Largest request head that is accepted, in bytes.
    pub fn request_head_bytes(&self) -> usize {
        self.max_header_bytes
            .saturating_add(HEADER_SLOP_BYTES)
            .min(super::fields::MAX_ARENA_BYTES / 4)
    }

    /// Largest response head that is accepted, in bytes.
    pub fn response_head_bytes(&self) -> usize {
        self.max_response_header_bytes
            .min(super::fields::MAX_ARENA_BYTES / 4)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_header_bytes: 1 << 20,
            max_fields: MOST_FIELDS,
            max_response_header_bytes: 10 << 20,
            max_trailer_bytes: 64 << 10,
        }
    }
}
