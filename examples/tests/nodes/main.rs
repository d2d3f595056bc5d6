//! The example `nodes` as its users run it: real containers on several nodes, what it prints, what kubectl can do with it, and what it leaves.
//!
//! Each test is in namespaces of its own, as on a machine of its own: it needs root, containerd, runc, the CNI plugins, nftables, busybox-static,
//! iproute2 and kubectl. `cargo test --test nodes` does not build the example: run `cargo build --examples --features containerd` first.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod ending;
mod host;
#[path = "../programs/program.rs"]
#[allow(dead_code, reason = "not all of it is used here")]
mod program;
mod refusing;
mod session;
mod showing;
mod state;
