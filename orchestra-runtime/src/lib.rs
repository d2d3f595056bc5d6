//! The parts that make declared state real.

pub mod manifest;
