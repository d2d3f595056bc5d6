//! The API server: one generic resource, a table of kinds, and the HTTP router over a [`Store`](orchestra_core::store::Store).

pub mod age;
pub mod decode;
pub mod discovery;
pub mod field;
pub mod kinds;
pub mod object;
mod openapi;
pub mod patch;
pub mod registry;
pub mod request;
mod row;
pub mod status;
pub mod strategy;
pub mod validation;
pub mod wire;

pub use self::{
    row::{Kind, row},
    status::ApiError,
};
