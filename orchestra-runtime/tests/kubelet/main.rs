//! The kubelet with `MemoryRuntime` and an API server in memory, under paused time.

#![allow(clippy::unwrap_used)]

mod admission;
mod ending;
mod faults;
mod faulty;
#[path = "../hooked/mod.rs"]
mod hooked;
mod hooks;
mod line;
mod machine;
mod making;
mod node;
mod probes;
mod registration;
mod resize;
mod restarts;
mod running;
mod runtime_class;
#[path = "../server/mod.rs"]
mod server;
mod shutdown;
mod static_pods;
mod takeover;
mod volumes;
