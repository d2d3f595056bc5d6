//! What clients get that speak HTTP by themselves, rightly or wrongly.
#![allow(missing_docs, reason = "a test")]

mod bodies;
mod connect;
mod custom;
mod endpoints;
mod events;
mod eviction;
mod forms;
mod harness;
mod options;
mod paths;
mod storage;
mod versions;
mod writes;
