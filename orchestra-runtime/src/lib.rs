//! The parts that make declared state real.

pub mod cluster;
pub mod container;
pub mod controllers;
pub mod kubelet;
pub mod manifest;
mod pods_by_node;

pub use self::cluster::{Cluster, ClusterBuilder, ClusterError};
