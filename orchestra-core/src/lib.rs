//! What every part of orchestra speaks: the traits at its seams, and the list-watch machinery that components are made of.
//!
//! ```text
//!   API server ──► Store: Watcher             (store)
//!        ▲
//!        │ kube::Client
//!   Informer ──► WorkQueue ──► Controller      (informer, work_queue, controller, manager)
//!        │                        └──► EventRecorder, LeaderElector
//!        ├──► Scheduler                       (scheduler)
//!        └──► kubelet ──► ContainerRuntime     (container_runtime)
//!
//!   Clock, Generator: time and randomness for all of them
//! ```
//!
//! | to bring in one's own | implement |
//! |---|---|
//! | controller | [`controller::Controller`] |
//! | scheduler | [`scheduler::Scheduler`] |
//! | container runtime | [`container_runtime::ContainerRuntime`] |
//! | store | [`store::Store`] and [`store::Watcher`] |
//! | time | [`clock::Clock`] |
//!
//! The feature `mocks` adds a mockall mock of each. A controller is told which object may need work, reads it from an informer, and
//! writes through a [`kube::Client`], to whatever API server that leads:
//!
//! ```
//! use async_trait::async_trait;
//! use k8s_openapi::api::core::v1::ConfigMap;
//! use orchestra_core::{
//!     ObjectKey,
//!     controller::{Action, Controller, ReconcileError, Watch},
//!     informer::{Informer, InformerFactory},
//!     manager::ControllerManager,
//! };
//! use tokio_util::sync::CancellationToken;
//!
//! struct Printer {
//!     config_maps: Informer<ConfigMap>,
//! }
//!
//! #[async_trait]
//! impl Controller for Printer {
//!     fn name(&self) -> &str {
//!         "printer"
//!     }
//!
//!     fn watches(&self) -> Vec<Watch> {
//!         vec![Watch::objects(&self.config_maps)]
//!     }
//!
//!     async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
//!         match self.config_maps.get(key) {
//!             Some(config_map) => println!("{key} has {:?}", config_map.data),
//!             None => println!("{key} is gone"),
//!         }
//!         Ok(Action::Done)
//!     }
//! }
//!
//! async fn run(client: kube::Client, stop: CancellationToken) {
//!     let informers = InformerFactory::new(client);
//!     ControllerManager::new().with(Printer { config_maps: informers.informer() }).run(stop).await;
//! }
//! ```

pub mod backoff;
pub mod clock;
pub mod condition;
pub mod container_runtime;
#[cfg(feature = "contract")]
pub mod contract;
pub mod controller;
pub mod device;
pub mod disruption_budget;
pub mod endpoint_subsets;
pub mod event_recorder;
pub mod field;
mod go_duration;
pub mod informer;
pub mod leader_election;
pub mod manager;
mod object_key;
pub mod persistent_volume;
pub mod quantity;
pub mod random;
pub mod scheduler;
pub mod selector;
pub mod store;
pub mod validation;
pub mod well_known_taints;
pub mod work_queue;

pub use go_duration::go_duration;
pub use object_key::ObjectKey;
