//! The durable store: the contract, and what a disk adds to it.
#![allow(clippy::unwrap_used)]

mod contract;
mod harness;
