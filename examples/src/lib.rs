//! What the example programs share: printing tables and events as kubectl does.

pub mod events;
pub mod table;
