//! Attacks against a real proxy, one named test per class; `docs/security.md` has the table of classes and tests.
//!
//! | module | classes |
//! |---|---|
//! | `framing` | what a request is and where it ends; what may be used again |
//! | `smuggling` | the public lists of smuggling variants, replayed |
//! | `responses` | origins that misframe their answers |
//! | `headers`, `path` | what a client says about itself and where it wants to go |
//! | `resources` | too much, too slow, too many |
//! | `io_uring` | the ring where there is little memory for it |

#[path = "../support/mod.rs"]
mod support;

mod framing;
mod headers;
mod io_uring;
mod path;
mod reader;
mod resources;
mod responses;
mod smuggling;
mod variants;
mod wire;
