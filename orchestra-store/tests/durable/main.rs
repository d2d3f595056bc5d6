//! The durable store: the contract, and what a disk adds to it.
#![allow(clippy::unwrap_used)]

mod backup;
mod child;
mod contract;
mod damage;
mod full;
mod harness;
mod history;
mod kill;
mod opening;
mod runtimes;
mod ttl;
