//! Behaviours that hold on the ring, on epoll and in the simulator alike.

use super::*;

/// Runs a body on the ring, on epoll, and in the simulator with many seeds.
macro_rules! everywhere {
    ($($(#[$meta:meta])* $name:ident => $config:expr;)*) => {
        mod on_the_ring {
            use super::*;
            $(#[test] $(#[$meta])* fn $name() { on_ring(&$config, super::$name); })*
        }
        mod on_epoll {
            use super::*;
            $(#[test] $(#[$meta])* fn $name() { super::super::on_epoll(&$config, super::$name); })*
        }
        mod simulated {
            use super::*;
            $(#[test] $(#[$meta])* fn $name() {
                for seed in 0..60 {
                    in_simulation(&$config, seed, super::$name);
                }
            })*
        }
    };
}

mod connections;
mod streams;
