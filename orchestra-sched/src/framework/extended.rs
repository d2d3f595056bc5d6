//! What extenders add to a decision. Those that are passed here are interested in the pod.

use futures::future::join_all;
use orchestra_core::scheduler::{Binding, Diagnosis, NodeInfo, PodInfo};
use tracing::warn;

use super::{CycleState, Failure, PostFilterOutcome, Preemption, cycle::Question};
use crate::{extender::HttpExtender, plugins::default_binder::found_bound};

/// Takes out of `nodes` what extenders reject, each asked about what the ones before left. The error is that of one that may not be ignored.
pub(super) async fn filter(
    extenders: &[&HttpExtender],
    pod: &PodInfo,
    nodes: &mut Vec<&NodeInfo>,
    diagnosis: &mut Diagnosis,
) -> Result<(), String> {
    for extender in extenders.iter().filter(|extender| extender.filters()) {
        if nodes.is_empty() {
            break;
        }
        match extender.filter(pod, nodes).await {
            Ok(verdicts) => {
                let mut verdicts = verdicts.into_iter();
                nodes.retain(|node| match verdicts.next() {
                    Some(Err(rejection)) => {
                        diagnosis.reject(node.name().clone(), rejection);
                        false
                    }
                    _ => true,
                });
            }
            Err(error) if extender.is_ignorable() => skipped(extender, pod, &error),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds the extenders' priorities to the nodes' scores.
pub(super) async fn prioritize(extenders: &[&HttpExtender], pod: &PodInfo, nodes: &[&NodeInfo], totals: &mut [i64]) {
    let asked: Vec<_> = extenders.iter().filter(|extender| extender.prioritizes()).collect();
    let answers = join_all(asked.iter().map(|extender| extender.prioritize(pod, nodes))).await;
    for (extender, answer) in asked.into_iter().zip(answers) {
        match answer {
            Ok(scores) => {
                for (node, total) in nodes.iter().zip(&mut *totals) {
                    *total = total.saturating_add(scores.get(&**node.name()).copied().unwrap_or(0));
                }
            }
            Err(error) => skipped(extender, pod, &error),
        }
    }
}

/// Has extenders say who of the candidates' victims goes, each asked about what the ones before left.
pub(super) async fn preempt(
    question: Question<'_>,
    preemption: &dyn Preemption,
    state: &mut CycleState,
    failure: &Failure<'_>,
) -> PostFilterOutcome {
    let Question { extenders, pod, snapshot, .. } = question;
    let mut candidates = match preemption.candidates(state, pod, snapshot, failure) {
        Ok(candidates) => candidates,
        Err(outcome) => return outcome,
    };
    for extender in extenders.iter().filter(|extender| extender.preempts()) {
        if candidates.is_empty() {
            break;
        }
        match extender.preempt(pod, &candidates, snapshot).await {
            Ok(left) => candidates = left,
            Err(error) if extender.is_ignorable() => skipped(extender, pod, &error),
            Err(error) => return PostFilterOutcome::Failed(format!("preemption: {error}")),
        }
    }
    preemption.choose(candidates)
}

/// Has an extender bind the pod, if one does; `None` leaves it to the plugins.
pub(super) async fn bind<'a>(
    extenders: impl Iterator<Item = &'a HttpExtender>,
    binding: Binding<'_>,
) -> Option<Result<(), String>> {
    for extender in extenders.filter(|extender| extender.binds()) {
        let told = extender.bind(binding.pod, &binding.placement.node).await;
        // Whatever it tells: an answer may be lost, or wrong. Until it is known the pod's room must not be given away.
        if found_bound(binding).await {
            return Some(Ok(()));
        }
        match told {
            Err(error) if extender.is_ignorable() => skipped(extender, binding.pod, &error),
            Err(error) => return Some(Err(error)),
            Ok(()) => {
                let (url, node) = (extender.name(), &*binding.placement.node);
                return Some(Err(format!(
                    "extender {url:?} says that the pod is bound to node {node:?}, but it is not"
                )));
            }
        }
    }
    None
}

fn skipped(extender: &HttpExtender, pod: &PodInfo, error: &str) {
    warn!(extender = extender.name(), pod = %pod.key(), error, "skipping an extender that failed");
}
