//! kube-rs as its users use it, unmodified and over HTTP: calls, discovery, watches, and what its runtime makes of them.
#![allow(clippy::unwrap_used)] // in what tests share; clippy allows it in tests by itself

mod calls;
mod discovery;
mod errors;
mod lists;
mod pods;
mod runtime;
mod watches;
mod world;
