//! The example programs as their users run them: arguments, files, signals, what they print and how they exit.
//!
//! `cargo test` builds the programs before it runs this. With `--test programs` it does not: run `cargo build --examples` first.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

mod bad_manifests;
mod program;
mod quickstart;
mod scheduler;
mod standalone;
mod stores;
