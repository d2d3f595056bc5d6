//! The kubelet with real containers, files and mounts. Each test has a machine of its own: see the module `containerd`. The kubelet is a process
//! of its own there, as it is to be stopped and killed.

#![allow(clippy::unwrap_used)]

#[path = "../containerd/mod.rs"]
mod containerd;
mod ending;
mod files;
mod killed;
mod logs;
mod probes;
mod process;
mod pull_secrets;
mod restart;
mod stall;
mod world;
