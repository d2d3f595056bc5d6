//! Which probes run, and when each is due. No time passes in here.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use orchestra_core::{container_runtime::ContainerId, random::Generator};
use tokio::time::Instant;

use super::{check::Answer, tally::Tally};
use crate::kubelet::{
    pod::{
        all_containers,
        health::{ProbeKind, Verdict, period},
    },
    probe::Address,
};

/// A probe that is to run.
#[derive(Clone, Debug)]
pub(in crate::kubelet) struct Wanted {
    /// The container's name in the pod.
    pub(in crate::kubelet) name: String,
    pub(in crate::kubelet) container: ContainerId,
    pub(in crate::kubelet) kind: ProbeKind,
    /// How long until it may run first. `None` for one that might have run before: a kubelet before this one started the container.
    pub(in crate::kubelet) after: Option<Duration>,
}

type Uid = Arc<str>;

/// A probe of a container of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) uid: Uid,
    pub(super) container: ContainerId,
    pub(super) kind: ProbeKind,
}

/// What is needed to run a probe.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) pod: Arc<Pod>,
    pub(super) name: Arc<str>,
    pub(super) address: Address,
}

impl Target {
    pub(super) fn container(&self) -> Option<&Container> {
        all_containers(&self.pod).find(|container| *container.name == *self.name)
    }

    pub(super) fn probe(&self, kind: ProbeKind) -> Option<&Probe> {
        kind.of(self.container()?)
    }
}

struct Entry {
    target: Target,
    tally: Tally,
    /// Where it stands in the order of what is due; `None` while it runs.
    due: Option<Due>,
}

/// By time, then by order of adding.
type Due = (Instant, u64);

/// The probes of a node.
pub(super) struct Plan {
    entries: BTreeMap<Key, Entry>,
    order: BTreeMap<Due, Key>,
    sequence: u64,
    generator: Generator,
}

impl Plan {
    pub(super) fn new(generator: Generator) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), sequence: 0, generator }
    }

    /// Runs exactly these probes of the pod from now on. Those that ran go on as they did.
    pub(super) fn follow(&mut self, uid: &Uid, pod: &Arc<Pod>, address: &Address, wanted: Vec<Wanted>, now: Instant) {
        for key in self.keys_of(uid) {
            if !wanted.iter().any(|wanted| wanted.container == key.container && wanted.kind == key.kind) {
                self.remove(&key);
            }
        }
        for Wanted { name, container, kind, after } in wanted {
            let target = Target { pod: Arc::clone(pod), name: name.into(), address: address.clone() };
            let key = Key { uid: Arc::clone(uid), container, kind };
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.target = target;
                continue;
            }
            let after = after.unwrap_or_else(|| self.scattered(&target, kind));
            let due = self.enqueue(&key, now + after);
            self.entries.insert(key, Entry { target, tally: Tally::default(), due: Some(due) });
        }
    }

    /// A part of the probe's period, lest a kubelet that starts runs all its probes at once.
    fn scattered(&self, target: &Target, kind: ProbeKind) -> Duration {
        target.probe(kind).map_or(Duration::ZERO, period).mul_f64(self.generator.fraction())
    }

    fn keys_of(&self, uid: &Uid) -> Vec<Key> {
        let first = Key { uid: Arc::clone(uid), container: ContainerId("".into()), kind: ProbeKind::Startup };
        self.entries.range(first..).map(|(key, _)| key).take_while(|key| key.uid == *uid).cloned().collect()
    }

    fn enqueue(&mut self, key: &Key, at: Instant) -> Due {
        self.sequence += 1;
        let due = (at, self.sequence);
        self.order.insert(due, key.clone());
        due
    }

    fn remove(&mut self, key: &Key) {
        if let Some(due) = self.entries.remove(key).and_then(|entry| entry.due) {
            self.order.remove(&due);
        }
    }

    /// Whether there is nothing to probe.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out the first probe that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Key, Target)> {
        let first = self.order.first_entry().filter(|entry| entry.key().0 <= now)?;
        let key = first.remove();
        let entry = self.entries.get_mut(&key)?;
        entry.due = None;
        Some((key, entry.target.clone()))
    }

    /// Takes in the answer to a probe that was due at `begun`, and tells what it comes to; `None` if it changes nothing, or if the probe
    /// is not to run any more.
    pub(super) fn settle(&mut self, key: &Key, answer: &Answer, begun: Instant, now: Instant) -> Option<Verdict> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.due.is_none())?;
        let Some(probe) = entry.target.probe(key.kind) else {
            self.remove(key);
            return None;
        };
        let (period, success) = (period(probe), answer.is_success());
        let counts = success.is_some_and(|success| entry.tally.count(success, probe));
        // A run that took longer than the period is followed by the next at once, as a ticker does it.
        let next = (begun + period).max(now);
        let due = self.enqueue(key, next);
        if let Some(entry) = self.entries.get_mut(key) {
            entry.due = Some(due);
        }
        match (answer, success) {
            (Answer::CannotExec, _) => Some(Verdict::CannotExec),
            (_, Some(success)) if counts => Some(if success { Verdict::Success } else { Verdict::Failure }),
            _ => None,
        }
    }

    /// Whether the probe is still to run.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }
}
