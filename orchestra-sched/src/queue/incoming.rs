//! Which pods come where in the queue, and why, under kube-scheduler's names.

use std::collections::{BTreeMap, BTreeSet};

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use orchestra_core::scheduler::EventKind;

use super::{Id, Place};

const INCOMING: &str = "scheduler_queue_incoming_pods_total";
const REJECTED: &str = "scheduler_unschedulable_pods";

/// Why a pod comes to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    PodAdd,
    PodUpdate,
    ScheduleAttemptFailure,
    BackoffComplete,
    UnschedulableTimeout,
    ForceActivate,
    /// Something happened that may help.
    Event(EventKind),
}

impl Why {
    fn label(self) -> String {
        match self {
            Self::Event(EventKind::NodeAdded) => "NodeAdd".to_owned(),
            Self::Event(EventKind::NodeUpdated) => "NodeUpdate".to_owned(),
            Self::Event(EventKind::NodeRemoved) => "NodeDelete".to_owned(),
            Self::Event(EventKind::PodAssigned) => "AssignedPodAdd".to_owned(),
            Self::Event(EventKind::AssignedPodUpdated) => "AssignedPodUpdate".to_owned(),
            Self::Event(EventKind::PodReleased) => "AssignedPodDelete".to_owned(),
            Self::Event(EventKind::ObjectChanged(kind)) => format!("{kind:?}Update"),
            Self::Event(_) => "PodUpdate".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

/// Pods that came, by where and why.
#[derive(Default)]
pub(super) struct Incoming {
    counters: BTreeMap<(&'static str, Why), Counter>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        describe_counter!(INCOMING, "Number of pods added to scheduling queues by event and queue type.");
        describe_gauge!(REJECTED, "The number of unschedulable pods broken down by plugin name.");
        Self::default()
    }

    pub(super) fn count(&mut self, place: &Place, why: Why) {
        let queue = match place {
            Place::Active => "active",
            Place::BackingOff => "backoff",
            Place::Unschedulable { .. } | Place::Gated { .. } => "unschedulable",
        };
        let counter = self.counters.entry((queue, why));
        counter.or_insert_with(|| counter!(INCOMING, "queue" => queue, "event" => why.label())).increment(1);
    }
}

/// The pods that one plugin of one scheduler rejected.
pub(super) struct Rejected {
    ids: BTreeSet<Id>,
    gauge: Gauge,
}

impl Rejected {
    /// Those of a scheduler and a plugin; nobody in particular is not measured.
    pub(super) fn by((scheduler, plugin): &(String, String)) -> Self {
        let gauge = match plugin.is_empty() {
            true => Gauge::noop(),
            false => gauge!(REJECTED, "plugin" => plugin.clone(), "profile" => scheduler.clone()),
        };
        Self { ids: BTreeSet::new(), gauge }
    }

    pub(super) fn insert(&mut self, id: Id) {
        self.ids.insert(id);
        self.gauge.set(self.ids.len() as f64);
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.ids.remove(id);
        self.gauge.set(self.ids.len() as f64);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Id> {
        self.ids.iter()
    }
}
