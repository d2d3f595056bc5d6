//! Core's types as CRI's, and back.

mod container;
mod image;
mod sandbox;
mod security;

use jiff::Timestamp;

pub(super) use self::{
    container::{container, container_config, container_filter, container_stats, container_status, resources, state},
    image::{auth, image, image_spec},
    sandbox::{sandbox, sandbox_config, sandbox_filter, sandbox_status},
};

/// Nanoseconds since 1970; zero stands for never.
pub(super) fn time(nanoseconds: i64) -> Option<Timestamp> {
    (nanoseconds > 0).then(|| Timestamp::from_nanosecond(nanoseconds.into()).ok()).flatten()
}
