//! `CriRuntime` with real containerd. Each test has a machine of its own: see the module `containerd`.

#[path = "../containerd/mod.rs"]
mod containerd;
mod contract;
mod events;
mod faults;
mod node;
mod pod;
mod streaming;
