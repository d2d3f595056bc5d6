//! The test kit itself.
#![allow(clippy::unwrap_used)]

mod builders;
mod cluster;
mod failures;
mod files;
