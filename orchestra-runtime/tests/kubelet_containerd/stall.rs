//! A runtime that does not go on from a certain call, so that its kubelet can be killed right there.

use std::fs;

use async_trait::async_trait;
use orchestra_core::container_runtime::RuntimeError;
use serde::{Deserialize, Serialize};

use crate::hooked::Hooks;

/// A file that is there when the call is reached.
pub(crate) const STALLED: &str = "/run/stalled";

/// Where it does not go on: before a call of this name, or after it was answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) enum Stall {
    Before(String),
    After(String),
}

/// Stalls there, if anywhere.
pub(crate) struct Stalling(pub(crate) Option<Stall>);

impl Stalling {
    async fn reach(&self, here: Stall) {
        if self.0.as_ref() == Some(&here) {
            fs::write(STALLED, "").expect("a file");
            std::future::pending().await
        }
    }
}

#[async_trait]
impl Hooks for Stalling {
    async fn before(&self, call: &'static str) -> Result<(), RuntimeError> {
        self.reach(Stall::Before(call.to_owned())).await;
        Ok(())
    }

    async fn after(&self, call: &'static str) {
        self.reach(Stall::After(call.to_owned())).await;
    }
}
