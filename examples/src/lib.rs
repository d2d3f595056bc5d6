//! What the example programs share: nodes, printing tables, events and differences, waiting for workloads and for signals, beginning and
//! ending, kubeconfig files, figures of benchmarks, an etcd, machines made of namespaces.

pub mod diff;
pub mod etcd;
pub mod events;
pub mod kubeconfig;
#[cfg(feature = "containerd")]
pub mod machine;
pub mod measure;
pub mod namespaces;
pub mod nodes;
pub mod program;
pub mod stop;
pub mod table;
mod teardown;
#[cfg(feature = "containerd")]
mod this_machine;
pub mod workloads;

/// The programs that README shows, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
