//! The parts that make declared state real, and [`Cluster`], which puts all parts of orchestra together in one process.
//!
//! ```text
//!   kube::Client, HTTP ──► API server ──► Store                      orchestra_store
//!                            ▲  ▲  ▲
//!           ┌────────────────┘  │  └─────────────────┐
//!      controllers          scheduler             kubelets           controllers, orchestra_sched, kubelet
//!   Deployment►ReplicaSet►Pod   Pod►Node        ContainerRuntime     container
//! ```
//!
//! A manifest becomes running pods:
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use k8s_openapi::api::core::v1::Pod;
//! use kube::{Api, runtime::{conditions::is_pod_running, wait::await_condition}};
//! use orchestra_runtime::{Cluster, manifest};
//!
//! let cluster = Cluster::builder().nodes(2).start().await?;
//! let text = "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}";
//! for document in manifest::parse("web.yaml", text)? {
//!     manifest::create(&cluster.client(), &document).await?;
//! }
//! let pods = Api::<Pod>::default_namespaced(cluster.client());
//! await_condition(pods, "web", is_pod_running()).await?;
//! cluster.shut_down().await;
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! What goes into a cluster is for [`ClusterBuilder`] to say: the store, the nodes and their runtimes, the scheduler, controllers and kinds of
//! one's own, the clock and the seed. Every part also runs by itself, against any Kubernetes API server: see [`kubelet::Kubelet`],
//! [`controllers::all`] and [`orchestra_sched::driver::SchedulerDriver`].

pub mod cluster;
pub mod container;
pub mod controllers;
#[cfg(feature = "dns")]
pub mod dns;
mod http_server;
mod json_answer;
pub mod kubelet;
mod lean_pod;
pub mod manifest;
pub mod metrics;
mod pods_by_node;
pub mod proxy;
pub mod spdy;

pub use self::cluster::{Cluster, ClusterBuilder, ClusterError};
