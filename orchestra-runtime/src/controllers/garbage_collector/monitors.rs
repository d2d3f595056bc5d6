//! Keeps the graph in step with the objects of all kinds that are served.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kube::{
    Client,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use orchestra_core::{ObjectKey, informer::follow, work_queue::WorkQueue};
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::graph::{Graph, Node, Uid};
use crate::controllers::served::{self, ServedKind};

/// How often to look for kinds that came or went of which nobody told, as kube-controller-manager does.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// How soon to ask again when the server did not answer.
const DISCOVERY_RETRY: Duration = Duration::from_secs(1);

/// API group and kind.
pub(super) type Kind = (String, String);

/// What the monitors have learnt.
#[derive(Default)]
pub(super) struct Known {
    pub(super) graph: Graph,
    /// What is served, by group and kind.
    pub(super) kinds: BTreeMap<Kind, ServedKind>,
    /// The kinds whose objects have not all arrived yet.
    unsynced: BTreeSet<Kind>,
    discovered: bool,
}

impl Known {
    /// Whether every object there was at the start is in the graph.
    pub(super) fn is_complete(&self) -> bool {
        self.discovered && self.unsynced.is_empty()
    }
}

/// Watches the metadata of each kind but those in `informed`, which reach the graph by another way.
#[derive(Clone)]
pub(super) struct Monitors {
    pub(super) client: Client,
    pub(super) known: Arc<Mutex<Known>>,
    pub(super) informed: Arc<BTreeSet<Kind>>,
}

impl Monitors {
    /// Runs until `stop`; looks for kinds that came or went when `changes` says so, and from time to time.
    pub(super) async fn run(self, changes: watch::Receiver<()>, queue: WorkQueue<ObjectKey>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        stop.run_until_cancelled(self.look_for_kinds(changes, &mut tasks, &queue)).await;
        tasks.shutdown().await;
    }

    async fn look_for_kinds(
        &self,
        mut changes: watch::Receiver<()>,
        tasks: &mut JoinSet<()>,
        queue: &WorkQueue<ObjectKey>,
    ) {
        let mut running = BTreeMap::<Kind, AbortHandle>::new();
        loop {
            let pause = match served::discover(&self.client).await {
                Ok(served) => {
                    let complete = served.failures.is_empty();
                    self.follow(served.kinds, complete, &mut running, tasks, queue);
                    DISCOVERY_PERIOD
                }
                Err(error) => {
                    warn!(%error, "discovery failed, trying again");
                    DISCOVERY_RETRY
                }
            };
            let _ = timeout(pause, changed(&mut changes)).await;
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Starts monitors of kinds that came and, if the list is complete, ends those of kinds that went.
    fn follow(
        &self,
        kinds: Vec<ServedKind>,
        complete: bool,
        running: &mut BTreeMap<Kind, AbortHandle>,
        tasks: &mut JoinSet<()>,
        queue: &WorkQueue<ObjectKey>,
    ) {
        let kinds: BTreeMap<Kind, ServedKind> = kinds.into_iter().map(|kind| (key(&kind), kind)).collect();
        for (key, kind) in kinds.iter().filter(|(key, kind)| !self.informed.contains(*key) && is_collected(kind)) {
            if !running.contains_key(key) {
                self.known.lock().unsynced.insert(key.clone());
                let monitor = self.clone().monitor(kind.clone(), queue.clone());
                running.insert(key.clone(), tasks.spawn(monitor));
            }
        }
        let mut known = self.known.lock();
        let gone: Vec<Kind> = running.keys().filter(|key| !kinds.contains_key(*key)).cloned().collect();
        for kind in gone.into_iter().filter(|_| complete) {
            if let Some(monitor) = running.remove(&kind) {
                monitor.abort();
            }
            known.unsynced.remove(&kind);
            for uid in known.graph.of_kind(&kind) {
                wake(queue, known.graph.remove(&uid));
            }
        }
        if complete {
            known.kinds = kinds;
        } else {
            known.kinds.extend(kinds);
        }
        known.discovered = true;
    }

    async fn monitor(self, kind: ServedKind, queue: WorkQueue<ObjectKey>) {
        let key = Arc::new(key(&kind));
        let mut listed = BTreeSet::new();
        let events = watcher(kind.metadata_api(&self.client), watcher::Config::default());
        follow(events, &kind.qualified_plural(), |event| self.apply(&key, event, &mut listed, &queue)).await;
    }

    fn apply(
        &self,
        kind: &Arc<Kind>,
        event: Event<PartialObjectMeta>,
        listed: &mut BTreeSet<Uid>,
        queue: &WorkQueue<ObjectKey>,
    ) {
        let mut known = self.known.lock();
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                let Some(uid) = object.metadata.uid.as_deref() else { return };
                listed.insert(uid.into());
                wake(queue, known.graph.observe(uid, Node::new(kind, &object.metadata)));
            }
            Event::Apply(object) => {
                let Some(uid) = object.metadata.uid.as_deref() else { return };
                wake(queue, known.graph.observe(uid, Node::new(kind, &object.metadata)));
            }
            Event::Delete(object) => {
                wake(queue, known.graph.remove(object.metadata.uid.as_deref().unwrap_or_default()));
            }
            Event::InitDone => {
                for uid in known.graph.of_kind(kind).difference(listed) {
                    wake(queue, known.graph.remove(uid));
                }
                listed.clear();
                if known.unsynced.remove(&**kind) {
                    // Owners of this kind that were gone before the list will not be heard of.
                    wake(queue, known.graph.bereft());
                }
            }
        }
    }
}

/// Waits until the kinds have changed: for ever, if nobody can tell.
async fn changed(kinds: &mut watch::Receiver<()>) {
    if kinds.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Queues the objects with these uids.
pub(super) fn wake(queue: &WorkQueue<ObjectKey>, uids: impl IntoIterator<Item = Uid>) {
    for uid in uids {
        queue.add(ObjectKey::cluster(&uid));
    }
}

fn key(kind: &ServedKind) -> Kind {
    (kind.resource.group.clone(), kind.resource.kind.clone())
}

/// Whether objects of the kind take part. Events do not: they are many, own nothing, and expire by themselves.
fn is_collected(kind: &ServedKind) -> bool {
    kind.supports(&["delete", "list", "watch"]) && kind.resource.plural != "events"
}
