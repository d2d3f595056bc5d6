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

mod backoff;
pub mod clock;
pub mod condition;
pub mod container_runtime;
pub mod controller;
pub mod event_recorder;
pub mod informer;
pub mod leader_election;
pub mod manager;
mod object_key;
pub mod quantity;
pub mod random;
pub mod scheduler;
pub mod selector;
pub mod store;
pub mod work_queue;

pub use object_key::ObjectKey;
