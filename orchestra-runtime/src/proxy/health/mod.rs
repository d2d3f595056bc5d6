//! What others ask a proxy over HTTP: load balancers, whether this node has endpoints of a Service; probes, whether the proxy is well.

mod probes;
mod services;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

pub(super) use self::{probes::serve, services::ServiceHealth};

/// How the proxy is. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Health {
    state: Arc<Mutex<State>>,
    /// How long a change may take to be in force.
    patience: Duration,
}

#[derive(Debug)]
struct State {
    /// Since when a change has waited.
    waiting: Option<Instant>,
    /// Whether load balancers should send traffic to this node: it is not about to go.
    eligible: bool,
}

impl Health {
    pub(super) fn new(patience: Duration) -> Self {
        Self { state: Arc::new(Mutex::new(State { waiting: None, eligible: true })), patience }
    }

    /// There is a change to be made.
    pub(super) fn queued(&self) {
        self.state.lock().waiting.get_or_insert_with(Instant::now);
    }

    /// All changes are in force.
    pub(super) fn synced(&self) {
        self.state.lock().waiting = None;
    }

    pub(super) fn set_eligible(&self, eligible: bool) {
        self.state.lock().eligible = eligible;
    }

    /// Whether no change has waited for too long.
    pub(super) fn is_well(&self) -> bool {
        self.state.lock().waiting.is_none_or(|since| since.elapsed() <= self.patience)
    }

    fn is_eligible(&self) -> bool {
        self.state.lock().eligible
    }
}
