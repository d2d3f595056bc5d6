//! A pod runs on its node and nowhere else, and is gone from there before it is gone from the API: only then may its name, or what it held,
//! be used by another.

use std::collections::BTreeMap;

use orchestra_core::container_runtime::{ContainerRuntime, Sandbox, SandboxFilter};
use orchestra_runtime::container::MemoryRuntime;

use super::{Verdict, ensure};
use crate::state::{PodChange, State, name, node_of, uid};

pub(crate) struct Sandboxes {
    runtimes: Vec<(&'static str, MemoryRuntime)>,
    /// The node on which each pod was first seen to run, by uid.
    seen: BTreeMap<String, &'static str>,
}

impl Sandboxes {
    pub(crate) fn new(runtimes: Vec<(&'static str, MemoryRuntime)>) -> Self {
        Self { runtimes, seen: BTreeMap::new() }
    }

    /// Asks the runtimes what they run, and checks that against the API.
    pub(crate) async fn check(&mut self, state: &State, change: Option<&PodChange>) -> Verdict {
        let running = self.running().await;
        let nodes: BTreeMap<&str, &str> =
            state.pods.values().filter_map(|pod| Some((uid(pod), node_of(pod)?))).collect();
        let mut names = BTreeMap::new();
        for (node, sandbox) in &running {
            let (pod, uid) = (&sandbox.metadata.name, &sandbox.metadata.uid);
            let first = *self.seen.entry(uid.clone()).or_insert(node);
            ensure(first == *node, || format!("pod {pod}: runs on {node:?} and ran on {first:?}"))?;
            // A pod of which the observer has not read yet that it is bound is checked when it has.
            let bound = nodes.get(&**uid).unwrap_or(node);
            ensure(bound == node, || format!("pod {pod}: runs on {node:?} and is bound to {bound:?}"))?;
            let other = names.insert((&sandbox.metadata.namespace, pod), uid);
            ensure(other.is_none(), || format!("pod {pod}: two of this name run"))?;
        }
        let Some(PodChange { before: Some(gone), after: None }) = change else { return Ok(()) };
        let left = running.iter().find(|(_, sandbox)| sandbox.metadata.uid == uid(gone));
        ensure(left.is_none(), || format!("pod {}: gone from the API, and runs", name(gone)))
    }

    /// Checks, when the state is as new as the runtimes, that nothing runs that the API does not know.
    pub(crate) async fn check_all_known(&self, state: &State) -> Verdict {
        let running = self.running().await;
        let is_known = |sandbox: &Sandbox| state.pods.values().any(|pod| uid(pod) == sandbox.metadata.uid);
        let unknown = running.iter().find(|(_, sandbox)| !is_known(sandbox));
        ensure(unknown.is_none(), || format!("what runs on a node is no pod: {unknown:?}"))
    }

    async fn running(&self) -> Vec<(&'static str, Sandbox)> {
        let mut running = Vec::new();
        for (node, runtime) in &self.runtimes {
            let sandboxes = runtime.list_pod_sandboxes(SandboxFilter::default()).await.expect("the runtime answers");
            running.extend(sandboxes.into_iter().map(|sandbox| (*node, sandbox)));
        }
        running
    }
}
