//! What becomes of nodes whose kubelets fall silent, and of the pods on them; in paused time.
#![allow(clippy::unwrap_used)]

mod eviction;
mod gone;
mod silence;
mod world;
