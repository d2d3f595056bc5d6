//! Where an orchestra cluster's state lives, and the one gate to it.
//!
//! ```text
//!   kube::Client / HTTP ──► apiserver ──► cache ──► Store
//!                                                   ├── memory
//!                                                   ├── durable
//!                                                   ├── etcd (a feature)
//!                                                   └── any other that passes `contract`
//! ```
//!
//! An API server alone, without controllers and nodes, as envtest starts one:
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use kube::{Api, api::PostParams};
//! use orchestra_store::{MemoryStore, apiserver::ApiServer};
//!
//! let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await?;
//! let config_maps = Api::<ConfigMap>::default_namespaced(server.client("default"));
//! let object = serde_json::from_str(r#"{"metadata": {"name": "greeting"}, "data": {"text": "hello"}}"#)?;
//! let created = config_maps.create(&PostParams::default(), &object).await?;
//! assert!(created.metadata.resource_version.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! - Kinds of one's own: [`apiserver::custom_resource`], and [`apiserver::row`] for those with rules of their own.
//! - Stores of one's own: implement [`Store`](orchestra_core::store::Store), and run the suite `contract` (a feature) over it.
//! - Tests of clients against a server that fails, loses answers and lags: [`apiserver::Faults`]; against a store that does:
//!   [`FaultyStore`]. What was asked of a store, and replays of it: [`RecordingStore`].

pub mod apiserver;
pub mod cache;
#[cfg(feature = "contract")]
pub mod contract;
pub mod durable;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod faulty;
pub mod location;
pub mod memory;
mod mvcc;
pub mod recording;
pub mod retrying;

pub use durable::DurableStore;
#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
pub use faulty::FaultyStore;
pub use location::StoreLocation;
pub use memory::MemoryStore;
pub use recording::RecordingStore;
pub use retrying::RetryingStore;
