//! The kubelet with real containers, files and mounts. Each test has a machine of its own: see the module `containerd`.

#![allow(clippy::unwrap_used)]

#[path = "../containerd/mod.rs"]
mod containerd;
mod files;
mod pull_secrets;
mod world;
