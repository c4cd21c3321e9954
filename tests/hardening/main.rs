//! Attacks against a real proxy, one named test per class.
//!
//! | module | classes |
//! |---|---|
//! | `framing` | what a request is and where it ends; what may be used again |
//! | `smuggling` | the public lists of smuggling variants, replayed |
//! | `responses` | origins that misframe their answers |
//! | `headers`, `path` | what a client says about itself and where it wants to go |

#[path = "../support/mod.rs"]
mod support;

mod framing;
mod headers;
mod path;
mod reader;
mod responses;
mod smuggling;
mod variants;
mod wire;
