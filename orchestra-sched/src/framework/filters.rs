use std::sync::Arc;

use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection, Snapshot};

use super::{
    CycleState, ExtensionPoint, Filter, PreFilter,
    measures::{Status, Stopwatch},
};

/// The filters that are asked about one pod: those that PreFilter has not left out, in their order.
#[derive(Default)]
pub struct Filters<'a> {
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    plugin: &'static str,
    filter: &'a dyn Filter,
    pre_filter: Option<&'a dyn PreFilter>,
}

impl<'a> Filters<'a> {
    pub(super) fn push(&mut self, plugin: &'static str, filter: &'a dyn Filter, pre_filter: Option<&'a dyn PreFilter>) {
        self.entries.push(Entry { plugin, filter, pre_filter });
    }

    /// Whether `pod` fits on `node`: the first to reject it says why not.
    pub fn check(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut entries = self.entries.iter();
        entries.try_for_each(|entry| entry.filter.filter(state, pod, node).map_err(|why| why.by(entry.plugin)))
    }

    /// Times what each says of `node`, whatever the others do.
    pub(super) fn time(&self, watch: &Stopwatch<'_>, state: &CycleState, pod: &PodInfo, node: &NodeInfo) {
        for entry in &self.entries {
            let call = || entry.filter.filter(state, pod, node);
            let status = |verdict: &Result<(), Rejection>| verdict.as_ref().err().map_or(Status::Success, Status::from);
            drop(watch.plugin(entry.plugin, ExtensionPoint::Filter, call, status));
        }
    }

    /// The same, beside the pods that wait for room on the node and are no less important than `pod`, as if they were there. It has
    /// to fit without them, too: they may go elsewhere.
    pub fn check_with_nominated(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
        snapshot: &Snapshot,
    ) -> Result<(), Rejection> {
        let check = |state: &CycleState, crowded: &NodeInfo| self.check(state, pod, crowded);
        self.beside_nominated(state, pod, node, snapshot, check).unwrap_or(Ok(()))?;
        self.check(state, pod, node)
    }

    /// What `judge` says of the node once the pods are there that wait for room on it and are no less important than `pod`; `None` if
    /// there are no such pods.
    pub(super) fn beside_nominated<T>(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        node: &NodeInfo,
        snapshot: &Snapshot,
        judge: impl FnOnce(&CycleState, &NodeInfo) -> T,
    ) -> Option<T> {
        let nominated = snapshot.nominations().on(node.name());
        let counts = |other: &&Arc<PodInfo>| other.priority() >= pod.priority() && other.id() != pod.id();
        let others = || nominated.iter().filter(counts);
        others().next()?;
        let mut crowded = node.clone();
        for other in others() {
            crowded.add_pod(other.clone());
            self.add_pod(state, pod, other, &crowded);
        }
        let verdict = judge(state, &crowded);
        for other in others() {
            crowded.remove_pod(other.id());
            self.remove_pod(state, pod, other, &crowded);
        }
        Some(verdict)
    }

    /// Tells the plugins that `added` is taken to be on `node`, where it has been put.
    pub fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, node: &NodeInfo) {
        for point in self.entries.iter().filter_map(|entry| entry.pre_filter) {
            point.add_pod(state, pod, added, node);
        }
    }

    /// Tells the plugins that `removed` is taken to have left `node`, from which it has been taken.
    pub fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo) {
        for point in self.entries.iter().filter_map(|entry| entry.pre_filter) {
            point.remove_pod(state, pod, removed, node);
        }
    }
}
