//! The kubelet with real containers, files and mounts. Each test has a machine of its own: see the module `containerd`. The kubelet is a process
//! of its own there, as it is to be stopped and killed.

#![allow(clippy::unwrap_used)]

mod cgroups;
#[path = "../containerd/mod.rs"]
mod containerd;
mod disk;
mod ending;
mod env_file;
mod files;
#[path = "../hooked/mod.rs"]
mod hooked;
mod huge_pages;
mod images;
mod killed;
mod logs;
mod network;
mod network_probes;
mod persistent;
mod probes;
mod process;
mod pull_secrets;
mod refused;
mod resize;
mod restart;
mod runtime;
mod runtime_class;
mod servers;
mod stall;
mod static_pods;
mod systemd;
mod world;
