//! A runtime that can be taken away for a while.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use futures::StreamExt;
use orchestra_core::container_runtime::{ContainerEvent, RuntimeError, RuntimeStream};
use orchestra_runtime::container::MemoryRuntime;
use tokio::sync::Notify;

use crate::hooked::{Hooked, Hooks};

pub(crate) type Faulty = Hooked<MemoryRuntime, Outage>;

/// Whether it is away.
#[derive(Clone, Default)]
pub(crate) struct Outage {
    down: Arc<AtomicBool>,
    fell: Arc<Notify>,
}

impl Faulty {
    pub(crate) fn new(inner: MemoryRuntime) -> Self {
        Self { inner, hooks: Outage::default() }
    }

    /// Lets no call through, and ends the streams of events.
    pub(crate) fn fall(&self) {
        self.hooks.down.store(true, Ordering::Relaxed);
        self.hooks.fell.notify_waiters();
    }

    pub(crate) fn rise(&self) {
        self.hooks.down.store(false, Ordering::Relaxed);
    }
}

#[async_trait]
impl Hooks for Outage {
    async fn before(&self, _call: &'static str) -> Result<(), RuntimeError> {
        let error = || RuntimeError::Unavailable("no such socket".to_owned());
        if self.down.load(Ordering::Relaxed) { Err(error()) } else { Ok(()) }
    }

    fn events(&self, events: RuntimeStream<ContainerEvent>) -> RuntimeStream<ContainerEvent> {
        let fell = Arc::clone(&self.fell);
        events.take_until(Box::pin(async move { fell.notified().await })).boxed()
    }
}
