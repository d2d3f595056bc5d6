//! A pod is bound once and to one node, ends once, and is what it was made as.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;

use super::{Verdict, ensure};
use crate::state::{PodChange, State, is_finished, name, node_of, phase, uid};

#[derive(Default)]
pub(crate) struct Pods {
    /// The uids of all pods that there ever were.
    known: BTreeSet<String>,
}

impl Pods {
    pub(crate) fn check(&mut self, state: &State, change: &PodChange) -> Verdict {
        match (&change.before, &change.after) {
            (None, Some(pod)) => {
                ensure(self.known.insert(uid(pod).to_owned()), || {
                    format!("pod {}: its uid is another one's", name(pod))
                })?;
                self.bound(state, None, pod)
            }
            (Some(before), Some(after)) => {
                ensure(uid(before) == uid(after), || format!("pod {}: became another one in place", name(after)))?;
                self.bound(state, node_of(before), after)?;
                ended(before, after)
            }
            _ => Ok(()),
        }
    }

    /// Once a pod has a node it keeps it, and that is one that was there.
    fn bound(&self, state: &State, before: Option<&str>, pod: &Pod) -> Verdict {
        let node = node_of(pod);
        match (before, node) {
            (None, None) => Ok(()),
            (None, Some(node)) => ensure(state.nodes.contains_key(&format!("/registry/minions/{node}")), || {
                format!("pod {}: bound to {node:?}, which is no node", name(pod))
            }),
            _ => ensure(before == node, || format!("pod {}: moved from node {before:?} to {node:?}", name(pod))),
        }
    }
}

/// What has ended stays so; containers restart, and never less often than they had; a node takes what the scheduler gives it.
fn ended(before: &Pod, after: &Pod) -> Verdict {
    ensure(!is_finished(before) || phase(before) == phase(after), || {
        format!("pod {}: was {} and is {}", name(after), phase(before), phase(after))
    })?;
    ensure(restarts(before) <= restarts(after), || format!("pod {}: its restarts became fewer", name(after)))?;
    let reason = after.status.as_ref().and_then(|status| status.reason.as_deref()).unwrap_or_default();
    ensure(reason.is_empty(), || format!("pod {}: refused by its node: {reason}", name(after)))
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}
