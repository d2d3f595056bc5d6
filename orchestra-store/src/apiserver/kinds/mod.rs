//! The kinds of the API: one module each, with the strategy, the columns and the row.

pub mod pod;
