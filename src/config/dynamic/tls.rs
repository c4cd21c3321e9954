//! TLS certificates, options and stores (Traefik: `tls.certificates`, `tls.options`, `tls.stores`).

use crate::config::decode::{List, Text};
use crate::config::secret::Secret;

schema! {
    /// Names to obtain one certificate for.
    pub struct Domain {
        /// The main name.
        pub main: Text = "main";
        /// Further names.
        pub sans: List<Text> = "sans";
    }

    /// A certificate with its key; each is a file's path or PEM text.
    pub struct Certificate {
        /// The certificate chain.
        pub cert_file: Text = "certFile";
        /// The private key.
        pub key_file: Secret<Text> = "keyFile";
    }

    /// A certificate and the stores it belongs to (an item of `tls.certificates`).
    pub struct TlsCertificate {
        /// The certificate chain, as a file's path or PEM text.
        pub cert_file: Text = "certFile";
        /// The private key, as a file's path or PEM text.
        pub key_file: Secret<Text> = "keyFile";
        /// Names of stores; empty means `default`.
        pub stores: List<Text> = "stores";
    }

    /// How TLS connections are accepted (`tls.options.<name>`).
    pub struct TlsOptions {
        /// Lowest version, such as `VersionTLS12`; empty means the library's default.
        pub min_version: Text = "minVersion";
        /// Highest version.
        pub max_version: Text = "maxVersion";
        /// Names of cipher suites; empty means the default ones.
        pub cipher_suites: List<Text> = "cipherSuites";
        /// Names of curves in their order.
        pub curve_preferences: List<Text> = "curvePreferences";
        /// Whether and how clients must show certificates.
        pub client_auth: ClientAuth = "clientAuth" [always];
        /// Whether connections whose name has no certificate are refused.
        pub sni_strict: bool = "sniStrict";
        /// Application protocols in their order.
        pub alpn_protocols: List<Text> = "alpnProtocols" [default default_alpn()];
        /// Whether sessions are not resumed by tickets.
        pub disable_session_tickets: bool = "disableSessionTickets";
        /// Without effect; kept because old files have it.
        pub prefer_server_cipher_suites: Option<bool> = "preferServerCipherSuites";
    }

    /// Whether and how clients must show certificates.
    pub struct ClientAuth {
        /// Authorities of client certificates, as files or PEM text.
        pub ca_files: List<Text> = "caFiles";
        /// Go's name of the policy, such as `RequireAndVerifyClientCert`; empty with `caFiles` means that one.
        pub client_auth_type: Text = "clientAuthType";
    }

    /// Which certificate is shown when none fits (`tls.stores.<name>`; only `default` is used).
    pub struct TlsStore {
        /// A given certificate.
        pub default_certificate: Option<Box<Certificate>> = "defaultCertificate";
        /// A certificate to obtain.
        pub default_generated_cert: Option<Box<GeneratedCert>> = "defaultGeneratedCert";
    }

    /// A default certificate to obtain.
    pub struct GeneratedCert {
        /// Name of the certificate resolver.
        pub resolver: Text = "resolver";
        /// Its names.
        pub domain: Option<Box<Domain>> = "domain";
    }
}

fn default_alpn() -> List<Text> {
    ["h2".into(), "http/1.1".into(), "acme-tls/1".into()].into()
}
