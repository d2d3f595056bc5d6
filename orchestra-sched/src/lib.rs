//! The Kubernetes scheduling framework as a library: plugins, queue, snapshot, and the loop that binds pods.
//!
//! ```text
//!   informers ──► cache (nodes, bound and assumed pods, volumes) ──► Snapshot ──┐
//!      │                                                                       ▼
//!      └──► queue (active, back-off, unschedulable) ──► pod ──► Framework: Scheduler ──► driver: assume, bind volumes, bind
//!                   ▲                                     PreFilter Filter PostFilter PreScore Score Reserve
//!                   └────── rejected: by whom, until an event that may help ──────┘
//! ```
//!
//! A decision needs no cluster:
//!
//! ```
//! use orchestra_core::scheduler::{NodeInfo, PodInfo, Scheduler, Snapshot};
//! use orchestra_sched::framework::Framework;
//! use k8s_openapi::api::core::v1::Pod;
//! # use std::sync::Arc;
//!
//! let node = serde_json::from_str(r#"{"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "1", "pods": "10"}}}"#)?;
//! let pod: Pod = serde_json::from_str(
//!     r#"{"metadata": {"name": "p"},
//!         "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}}"#,
//! )?;
//! let snapshot = Snapshot::from_iter([NodeInfo::new(Arc::new(node))]);
//! let error = Framework::kubernetes().schedule(&PodInfo::from(pod), &snapshot, 0).unwrap_err();
//! assert!(error.to_string().starts_with("0/1 nodes are available: 1 Insufficient cpu."));
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod cache;
pub mod config;
pub mod driver;
pub mod explain;
pub mod extender;
pub mod framework;
pub mod gang;
#[cfg(feature = "testing")]
pub mod guide;
pub mod plugins;
pub mod queue;
#[cfg(feature = "simulator")]
pub mod simulator;
#[cfg(feature = "testing")]
pub mod testing;
