//! The API server: one generic resource, a table of kinds, and the HTTP router over a [`Store`](orchestra_core::store::Store).

pub mod field;
pub mod object;
pub mod strategy;
