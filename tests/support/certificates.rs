//! Certificates of a test's own, made with openssl.

use std::path::Path;
use std::process::Command;

/// Writes an authority (`ca.pem`, `ca.key`), and a server's and a client's certificate of it (`server.pem`, `server.key`, …),
/// which name 127.0.0.1.
pub fn make(directory: &Path) {
    let openssl = |arguments: &str| openssl(directory, arguments);
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"
    ));
    std::fs::write(
        directory.join("extensions"),
        "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
    )
    .expect("written");
    for name in ["server", "client"] {
        openssl(&format!(
            "req -new {key} -subj /CN={name} -keyout {name}.key -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out {name}.pem"
        ));
    }
}

/// Runs openssl in a directory.
pub fn openssl(directory: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    command.args(arguments.split(' ')).current_dir(directory);
    let output = command
        .output()
        .expect("openssl runs; it is in Debian's package openssl");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {errors}");
}
