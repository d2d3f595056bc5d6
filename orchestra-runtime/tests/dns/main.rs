//! Cluster DNS over real sockets of the loopback device, of an API server in this process.
#![allow(clippy::unwrap_used)]

mod ask;
mod cluster;
mod messages;
mod service;
mod upstream;
mod world;
