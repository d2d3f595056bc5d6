//! What the controllers make of objects: rollouts, adoption, garbage collection, the end of namespaces. There is no kubelet: the tests
//! say what becomes of pods.

#![allow(clippy::unwrap_used)]

mod deployment;
mod disruption;
mod endpoints;
mod garbage_collector;
mod namespace;
mod objects;
mod persistent_volume;
mod replica_set;
mod resource_claim;
#[path = "../server/mod.rs"]
mod server;
mod world;
