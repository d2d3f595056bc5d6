//! Where an orchestra cluster's state lives, and the one gate to it.
//!
//! ```text
//!   kube::Client / HTTP ──► apiserver ──► cache ──► Store
//!                                                   ├── memory
//!                                                   └── any other that passes `contract`
//! ```

pub mod apiserver;
pub mod cache;
#[cfg(feature = "contract")]
pub mod contract;
pub mod memory;

pub use memory::MemoryStore;
