//! An unmodified kubectl against a cluster in this process.
//!
//! Without a kubectl on the path the tests say so and pass; with `ORCHESTRA_REQUIRE_KUBECTL` set they fail.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod access;
mod disruption;
#[allow(dead_code, reason = "tests with real containers use it too, and more of it")]
mod harness;
mod healing;
mod looking;
mod manifests;
mod networking;
mod own_kinds;
mod roles;
mod rollout;
mod streaming;
mod teardown;
mod top;
mod volumes;
