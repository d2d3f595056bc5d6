//! The test kit itself.
#![allow(clippy::unwrap_used)]

mod binding_conditions;
mod builders;
mod cluster;
mod conformance;
mod devices;
mod extended_resources;
mod failures;
mod files;
mod live;
