//! Reads every revision of the store, in order, and checks it.

use futures::StreamExt;
use orchestra_core::{
    clock::{Clock, TokioClock},
    store::{Event, KeyRange, Revision, Store, WatchStream, Watcher},
};
use orchestra_store::MemoryStore;

use crate::{
    invariants::{Nodes, Pods, Recreate, Rollouts, Sandboxes, Verdict},
    recent::Recent,
    state::State,
    world::World,
};

/// Its eyes are the store's own log, so that neither the API server nor anybody's cache needs to be trusted.
pub(crate) struct Observer {
    clock: TokioClock,
    store: MemoryStore,
    history: WatchStream,
    revision: Revision,
    log: Vec<u8>,
    state: State,
    recent: Recent,
    pods: Pods,
    rollouts: Rollouts,
    sandboxes: Sandboxes,
}

impl Observer {
    pub(crate) async fn of(world: &World) -> Self {
        let history = world.store.watch(KeyRange::prefix("/registry/"), 0).await.expect("the store keeps its history");
        Self {
            clock: world.clock,
            store: world.store.clone(),
            history,
            revision: 0,
            log: Vec::new(),
            state: State::default(),
            recent: Recent::default(),
            pods: Pods::default(),
            rollouts: Rollouts::new(world.deleted_by_user.clone()),
            sandboxes: Sandboxes::new(world.runtimes.clone()),
        }
    }

    /// Reads on until an invariant is broken, and tells which.
    pub(crate) async fn watch(&mut self) -> String {
        loop {
            if let Err(what) = self.read_batch().await {
                return what;
            }
        }
    }

    /// Reads what is left.
    pub(crate) async fn finish(&mut self) -> Verdict {
        while self.revision < self.store.revision().await.expect("the store answers") {
            self.read_batch().await?;
        }
        Ok(())
    }

    async fn read_batch(&mut self) -> Verdict {
        let batch = self.history.next().await.expect("the store lives").expect("the observer keeps up");
        for events in batch.events.chunk_by(|one, other| one.revision() == other.revision()) {
            self.revision = events[0].revision();
            self.read(events).await.map_err(|what| format!("revision {}: {what}", self.revision))?;
        }
        self.revision = batch.revision;
        // Only now are runtimes sure to know no more than the observer.
        if self.revision == self.store.revision().await.expect("the store answers") {
            let verdict = self.sandboxes.check_all_known(&self.state).await;
            verdict.map_err(|what| format!("revision {}: {what}", self.revision))?;
        }
        Ok(())
    }

    /// All that happened at one revision.
    async fn read(&mut self, events: &[Event]) -> Verdict {
        self.state.now = self.clock.now();
        let mut change = None;
        for event in events {
            self.note(event);
            change = change.or(self.state.apply(event));
        }
        if let Some(change) = &change {
            self.pods.check(&self.state, change)?;
        }
        Nodes.check(&self.state)?;
        Recreate.check(&self.state)?;
        self.rollouts.check(&self.state)?;
        self.sandboxes.check(&self.state, change.as_ref()).await
    }

    fn note(&mut self, event: &Event) {
        self.recent.note(event, self.state.now);
        let value: &[u8] = match event {
            Event::Put { current, .. } => &current.value,
            Event::Delete { .. } => b"deleted",
        };
        self.log.extend(format!("{} {} {} ", event.revision(), self.clock.now(), event.key()).bytes());
        self.log.extend(value);
        self.log.push(b'\n');
    }

    /// What was read last.
    pub(crate) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// All that was read.
    pub(crate) fn into_log(self) -> Vec<u8> {
        self.log
    }
}
