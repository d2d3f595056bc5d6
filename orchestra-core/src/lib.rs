//! What every part of orchestra speaks.
pub mod clock;
pub mod random;
pub mod store;
