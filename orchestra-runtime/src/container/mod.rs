//! Container runtimes: the implementations of [`ContainerRuntime`](orchestra_core::container_runtime::ContainerRuntime).

#[cfg(all(feature = "containerd", unix))]
pub mod cri;
pub mod memory;

#[cfg(all(feature = "containerd", unix))]
pub use self::cri::{CriOptions, CriRuntime};
pub use self::memory::{ExecScript, ImageScript, MemoryRuntime, PortScript, Program, Readiness, Scripted};
