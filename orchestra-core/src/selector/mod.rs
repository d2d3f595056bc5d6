//! Label, field and node selectors, as queries and API objects write them.

pub mod field;
pub mod label;
pub mod node;
