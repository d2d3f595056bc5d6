//! The parts that make declared state real.

pub mod controllers;
pub mod manifest;
