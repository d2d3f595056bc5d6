//! Where an orchestra cluster's state lives, and the one gate to it.

pub mod apiserver;
