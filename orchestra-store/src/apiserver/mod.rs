//! The API server: one generic resource, a table of kinds, and the HTTP router over a [`Store`](orchestra_core::store::Store).
//!
//! ```text
//!   http ──► path, user, may they? ──► verbs ──► decode ► default ► admission ► prepare ► validate ──► Store
//!                                      └──► watch cache ──► selection ──► render (objects, table, metadata)
//! ```

pub mod admission;
mod advertise;
pub mod age;
mod aggregation;
pub mod authentication;
pub mod authorization;
mod bootstrap;
mod connect;
mod custom_resource;
pub mod decode;
pub mod discovery;
mod faults;
mod http;
mod impersonation;
mod in_process;
pub mod kinds;
mod metadata;
mod nulls;
pub mod object;
mod openapi;
pub mod patch;
mod protobuf;
pub mod registry;
mod render;
mod repair;
pub mod request;
mod row;
mod selection;
mod server;
mod service_account_token;
pub mod status;
pub mod strategy;
pub mod validation;
mod verbs;
mod warning;
mod web_socket;
pub mod wire;

pub use orchestra_core::field;

pub use self::{
    aggregation::{AggregatedApi, AggregatedResource},
    connect::{Connection, Dial, Network, Upstream},
    custom_resource::custom_resource,
    faults::Faults,
    row::{Kind, row},
    server::{ApiServer, ApiServerBuilder, StartError},
    status::ApiError,
};
