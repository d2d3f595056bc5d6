//! The parts that make declared state real.

pub mod container;
pub mod controllers;
pub mod kubelet;
pub mod manifest;
