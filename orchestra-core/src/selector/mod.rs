//! Label and field selectors, as queries and API objects write them.

pub mod field;
pub mod label;
