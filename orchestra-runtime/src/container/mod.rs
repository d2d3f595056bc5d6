//! Container runtimes: the implementations of [`ContainerRuntime`](orchestra_core::container_runtime::ContainerRuntime).

pub mod memory;

pub use self::memory::{ExecScript, ImageScript, MemoryRuntime, Readiness, Scripted};
