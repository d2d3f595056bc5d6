//! The test kit: what a scheduler's tests need, in a line each.

mod node;
mod pod;
mod words;

pub use self::{
    node::{NodeBuilder, node},
    pod::{PodBuilder, pod},
};
