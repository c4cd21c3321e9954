//! The `ringway` binary: everything it does lives in the library's `cli`.

fn main() {}
