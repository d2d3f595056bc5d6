//! Pods that are tried together: taken out of the queue as one, wherever each of them waits.

use std::sync::Arc;

use orchestra_core::{
    ObjectKey,
    scheduler::{Objects, PodInfo, Quorum, Rejection},
};
use tokio::time::Instant;
use tracing::warn;

use super::{Id, Place, SchedulingQueue, Waiting, groups::GroupKey, held_back, incoming::Why, ranked::Ranked};
use crate::framework::contained;

/// What is to be tried.
#[derive(Clone, Debug)]
pub enum Next {
    /// A pod by itself.
    Pod {
        /// The pod.
        pod: Arc<PodInfo>,
        /// Its group, where it has one: it needs no others at once, or has them.
        group: Option<ObjectKey>,
    },
    /// The pods of a group that lacks several.
    Gang(Gang),
}

/// Pods of which enough have to find a node, or none gets one.
#[derive(Clone, Debug)]
pub struct Gang {
    /// What their scheduler calls the group.
    pub group: ObjectKey,
    /// In the order in which they are tried; all wait for the same scheduler.
    pub pods: Vec<Arc<PodInfo>>,
    /// How many of them have to find a node: what the group asks for less those that have one.
    pub missing: usize,
    /// What those are told that find one when too few others do.
    pub unmet: Rejection,
}

impl Next {
    /// The pods.
    pub fn pods(&self) -> &[Arc<PodInfo>] {
        match self {
            Self::Pod { pod, .. } => std::slice::from_ref(pod),
            Self::Gang(gang) => &gang.pods,
        }
    }
}

impl SchedulingQueue {
    /// Takes what is to be tried next out for an attempt: the first pod in [order](orchestra_core::scheduler::QueueSort), by default the one
    /// of the highest priority, and with it those that have to have nodes at the same time. `objects` are what their scheduler looks at to
    /// say so; groups that it holds back wait until an event may help, or another pod of the group comes.
    pub fn pop(&mut self, now: Instant, objects: &Objects) -> Option<Next> {
        self.advance(now);
        loop {
            let id = self.next_active()?;
            let Some(key) = self.groups.of(&id).cloned() else {
                return self.begin_first(&id, now).map(|pod| Next::Pod { pod, group: None });
            };
            match self.gather(&key, objects) {
                Ok(Gathered::One) => {
                    return self.begin_first(&id, now).map(|pod| Next::Pod { pod, group: Some(key.1) });
                }
                Ok(Gathered::Several { ready, missing, unmet }) => {
                    if !ready.contains(&id) {
                        // It may not be tried any more: the others are without it.
                        self.set_aside(&id, Place::Unschedulable { since: now, rejected_by: by(&unmet) });
                    }
                    let entries: Vec<Waiting> = ready.iter().filter_map(|id| self.take(id)).collect();
                    let pods = entries.into_iter().map(|entry| self.begin(entry, now)).collect();
                    return Some(Next::Gang(Gang { group: key.1, pods, missing, unmet }));
                }
                Err(by) => self.set_aside(&id, Place::Gated { by }),
            }
        }
    }

    /// The same, of the first of the active pods, which is in no order any more.
    fn begin_first(&mut self, id: &Id, now: Instant) -> Option<Arc<PodInfo>> {
        let entry = self.waiting.remove(id)?;
        self.groups.set_waiting(id, false);
        Some(self.begin(entry, now))
    }

    /// Which pods of the group are to be tried at once; else who holds them back.
    fn gather(&self, key: &GroupKey, objects: &Objects) -> Result<Gathered, Vec<String>> {
        let (Some(scheduler), Some(group)) = (self.schedulers.get(&key.0), self.groups.get(key)) else {
            return Ok(Gathered::One);
        };
        let Quorum { minimum, unmet, .. } = contained(|| scheduler.quorum(&key.1, group.pods.len(), objects))
            .unwrap_or_else(|panic| {
                warn!(group = %key.1, "the scheduler {panic}");
                Err(Rejection::new(panic))
            })
            .map_err(|rejection| by(&rejection))?;
        let missing = minimum.saturating_sub(group.placed());
        if missing <= 1 {
            return Ok(Gathered::One);
        }
        let free = group.waiting.iter().filter(|id| !self.held.contains_key(*id));
        let entries = free.filter_map(|id| self.waiting.get(id));
        let ready = entries.filter(|entry| held_back(&**scheduler, &entry.pod).is_none());
        // One by one: a sort that breaks its contract must not make the standard library's panic.
        let mut ranked: Vec<Ranked> = Vec::new();
        for entry in ready {
            let one = self.ranked(entry);
            ranked.insert(ranked.partition_point(|other| *other < one), one);
        }
        if ranked.len() < missing {
            return Err(by(&unmet));
        }
        Ok(Gathered::Several { ready: ranked.iter().map(Ranked::id).cloned().collect(), missing, unmet })
    }

    /// Has a pod that was about to be tried wait elsewhere.
    fn set_aside(&mut self, id: &Id, place: Place) {
        if let Some(entry) = self.take(id) {
            self.put(Waiting { place, ..entry }, Why::ScheduleAttemptFailure);
        }
    }
}

/// Pods of a group that are to be tried.
enum Gathered {
    /// The one that was first.
    One,
    Several {
        ready: Vec<Id>,
        missing: usize,
        unmet: Rejection,
    },
}

fn by(rejection: &Rejection) -> Vec<String> {
    vec![rejection.plugin().to_owned()]
}

#[cfg(test)]
mod tests;
