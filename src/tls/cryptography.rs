//! Which cryptography the process's TLS uses: *ring*.

/// Makes *ring* the process's cryptography, unless something was installed before. Whoever builds a TLS client through
/// another library calls this first; it is cheap to repeat.
pub fn install() {
    // An error means that another thread was first, with the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
