//! One decision: filter, then score.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use orchestra_core::scheduler::{
    Diagnosis, NodeInfo, Nomination, Placement, PodInfo, Rejection, ScheduleError, Snapshot,
};
use tracing::warn;

use super::{
    CycleState, ExtensionPoint, Failure, Filters, Framework, Plugin, PostFilterOutcome, PreFilterOutcome, Score,
    extended,
    measures::{Status, Stopwatch},
    sampling,
};
use crate::extender::HttpExtender;

/// What is to be decided.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) framework: &'a Framework,
    /// The extenders that are asked: those that are interested in the pod.
    pub(super) extenders: &'a [&'a HttpExtender],
    pub(super) pod: &'a PodInfo,
    pub(super) snapshot: &'a Snapshot,
    pub(super) seed: u64,
}

/// Decides by the plugins alone.
pub(super) fn schedule(
    framework: &Framework,
    pod: &PodInfo,
    snapshot: &Snapshot,
    seed: u64,
) -> Result<Placement, ScheduleError> {
    let decided = decide(Question { framework, extenders: &[], pod, snapshot, seed }).now_or_never();
    decided.unwrap_or_else(|| Err(ScheduleError::Internal("a decision waits though nobody is asked".to_owned())))
}

/// Decides by the plugins and the extenders. Without any it does not wait.
pub(super) async fn decide(question: Question<'_>) -> Result<Placement, ScheduleError> {
    let Question { framework, extenders, pod, snapshot, seed } = question;
    if snapshot.is_empty() {
        return Err(Diagnosis::new(0).into());
    }
    let (start, tie) = sampling::draws(seed);
    let (mut state, mut watch) = (CycleState::default(), Stopwatch::of_decision(framework.measures.as_ref(), seed));
    let candidates = pre_filter(framework, &mut state, pod, snapshot, &watch);
    watch.lap(ExtensionPoint::PreFilter, pre_filtered(&candidates));
    let candidates = candidates?;
    if let Some(rejection) = &candidates.rejected {
        let mut diagnosis = Diagnosis::new(snapshot.len());
        diagnosis.reject_everywhere(rejection.clone());
        return Err(post_filter(question, &mut state, diagnosis, &candidates.filters, &mut watch).await);
    }
    if watch.times_plugins()
        && let Some(first) = snapshot.iter_from(start).next()
    {
        candidates.filters.time(&watch, &state, pod, first);
        watch.restart();
    }
    if let Some(node) = candidates.nominated(&mut state, pod, snapshot)
        && passes(extenders, pod, node).await
    {
        watch.lap(ExtensionPoint::Filter, Status::Success);
        let placement = Placement::on(node.name().clone()).found(1, 1, 0);
        return Ok(reserve(framework, &state, pod, node, placement, &mut watch));
    }
    let wanted = sampling::feasible_nodes_to_find(snapshot.len(), framework.percentage_of_nodes_to_score);
    let all_reasons = extenders.iter().any(|extender| extender.filters());
    let found = candidates.find(&mut state, pod, snapshot, start, wanted, all_reasons);
    let Found { mut feasible, evaluated, mut diagnosis, failure } = found;
    let status = failure.as_ref().map_or(Status::Success, Status::from);
    watch.lap(ExtensionPoint::Filter, status);
    if let Some(failure) = failure {
        let (plugin, error) = (failure.plugin(), failure.reasons().join(", "));
        return Err(ScheduleError::Internal(format!("running {plugin:?} filter plugin: {error}")));
    }
    extended::filter(extenders, pod, &mut feasible, &mut diagnosis).await.map_err(ScheduleError::Internal)?;
    watch.restart();
    match feasible.as_slice() {
        [] => Err(post_filter(question, &mut state, diagnosis, &candidates.filters, &mut watch).await),
        [only] => {
            let placement = Placement::on(only.name().clone()).found(evaluated, 1, 0);
            Ok(reserve(framework, &state, pod, only, placement, &mut watch))
        }
        nodes => {
            let mut scores = score(framework, &mut state, pod, nodes, &mut watch);
            extended::prioritize(extenders, pod, nodes, &mut scores).await;
            watch.restart();
            let (index, score) = best(&scores, tie);
            let placement = Placement::on(nodes[index].name().clone()).found(evaluated, nodes.len(), score);
            Ok(reserve(framework, &state, pod, nodes[index], placement, &mut watch))
        }
    }
}

/// How PreFilter ended.
fn pre_filtered(candidates: &Result<Candidates<'_>, ScheduleError>) -> Status {
    match candidates {
        Ok(candidates) => candidates.rejected.as_ref().map_or(Status::Success, Status::from),
        Err(_) => Status::Error,
    }
}

/// Whether the extenders leave the node that the pod waits for. One that fails has the other nodes looked at, too.
async fn passes(extenders: &[&HttpExtender], pod: &PodInfo, node: &NodeInfo) -> bool {
    let (mut nodes, mut diagnosis) = (vec![node], Diagnosis::new(1));
    match extended::filter(extenders, pod, &mut nodes, &mut diagnosis).await {
        Ok(()) => !nodes.is_empty(),
        Err(error) => {
            warn!(pod = %pod.key(), node = &**node.name(), error, "evaluation failed on nominated node");
            false
        }
    }
}

/// What a search brought.
struct Found<'n> {
    /// Nodes that take the pod.
    feasible: Vec<&'n NodeInfo>,
    /// How many were looked at.
    evaluated: usize,
    /// Why those that were looked at before the first that takes it do not: all of them, if none does, or if all reasons are wanted.
    diagnosis: Diagnosis,
    /// That a plugin could not tell about one of them.
    failure: Option<Rejection>,
}

/// Which nodes are in question, and who is to be asked about them.
#[derive(Default)]
struct Candidates<'a> {
    filters: Filters<'a>,
    /// `None` stands for all nodes.
    nodes: Option<BTreeSet<String>>,
    /// Who left nodes out.
    restricted_by: Vec<&'static str>,
    /// Why the pod as such is rejected.
    rejected: Option<Rejection>,
}

fn pre_filter<'a>(
    framework: &'a Framework,
    state: &mut CycleState,
    pod: &PodInfo,
    snapshot: &Snapshot,
    watch: &Stopwatch<'_>,
) -> Result<Candidates<'a>, ScheduleError> {
    let mut candidates = Candidates::default();
    let (mut skipped, mut looked) = (Vec::new(), Vec::new());
    for plugin in framework.at(ExtensionPoint::PreFilter) {
        let name = plugin.name();
        looked.push(name);
        let outcome = plugin.as_pre_filter().map(|point| {
            let call = || point.pre_filter(state, pod, snapshot);
            watch.plugin(name, ExtensionPoint::PreFilter, call, |outcome| outcome.into())
        });
        match outcome.unwrap_or(PreFilterOutcome::Continue) {
            PreFilterOutcome::Continue => {}
            PreFilterOutcome::Skip => skipped.push(name),
            PreFilterOutcome::Only(nodes) => candidates.restrict(name, nodes),
            PreFilterOutcome::Reject(rejection) => {
                let is_resolvable = rejection.is_resolvable();
                candidates.rejected = Some(rejection.by(name));
                if !is_resolvable {
                    return Ok(candidates);
                }
                // Preemption may help, which needs what the others know.
            }
            PreFilterOutcome::Fail(error) => {
                return Err(ScheduleError::Internal(format!("running PreFilter plugin {name:?}: {error}")));
            }
        }
    }
    for plugin in framework.at(ExtensionPoint::Filter).filter(|plugin| !skipped.contains(&plugin.name())) {
        if let Some(filter) = plugin.as_filter() {
            let before = plugin.as_pre_filter().filter(|_| looked.contains(&plugin.name()));
            candidates.filters.push(plugin.name(), filter, before);
        }
    }
    Ok(candidates)
}

impl Candidates<'_> {
    fn restrict(&mut self, plugin: &'static str, nodes: BTreeSet<String>) {
        self.restricted_by.push(plugin);
        self.nodes = Some(match self.nodes.take() {
            Some(before) => before.intersection(&nodes).cloned().collect(),
            None => nodes,
        });
    }

    /// The node that the pod waits for, if it takes it now: it is tried before all others.
    fn nominated<'n>(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &'n Snapshot) -> Option<&'n NodeInfo> {
        let node = snapshot.nominations().of(pod).and_then(|name| snapshot.get(name))?;
        self.filters.check_with_nominated(state, pod, node, snapshot).ok().map(|()| &**node)
    }

    /// Looks for nodes that take the pod, `wanted` of them at most. Unless `all_reasons` are wanted, for somebody may reject those that
    /// are found, too, they end with the first that is.
    fn find<'n>(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &'n Snapshot,
        start: usize,
        wanted: usize,
        all_reasons: bool,
    ) -> Found<'n> {
        let mut feasible = Vec::with_capacity(wanted);
        let (mut evaluated, mut diagnosis, mut failure) = (0, Diagnosis::new(snapshot.len()), None);
        let mut look = |node: &'n NodeInfo| {
            evaluated += 1;
            match self.filters.check_with_nominated(state, pod, node, snapshot) {
                Ok(()) => feasible.push(node),
                Err(rejection) if rejection.is_failure() => {
                    failure = Some(rejection);
                    return false;
                }
                Err(rejection) if all_reasons || feasible.is_empty() => {
                    diagnosis.reject(node.name().clone(), rejection)
                }
                // Nobody will ask why.
                Err(_) => {}
            }
            feasible.len() < wanted
        };
        match &self.nodes {
            // Few are named: none of them is left out.
            Some(names) => {
                for node in names.iter().filter_map(|name| snapshot.get(name)) {
                    look(node);
                }
            }
            None => {
                for node in snapshot.iter_from(start) {
                    if !look(node) {
                        break;
                    }
                }
                if all_reasons && evaluated < snapshot.len() {
                    // Without words, as in Kubernetes: nobody looked at them.
                    diagnosis.reject_others(Rejection::with_reasons(Vec::new()).unresolvable());
                }
            }
        }
        if let Some(plugin) = self.restricted_by.first() {
            let reason = format!("node(s) didn't satisfy plugin(s) [{}]", self.restricted_by.join(" "));
            diagnosis.reject_others(Rejection::new(reason).by(*plugin).unresolvable());
        }
        Found { feasible, evaluated, diagnosis, failure }
    }
}

async fn post_filter(
    question: Question<'_>,
    state: &mut CycleState,
    mut diagnosis: Diagnosis,
    filters: &Filters<'_>,
    watch: &mut Stopwatch<'_>,
) -> ScheduleError {
    let Question { framework, extenders, pod, snapshot, seed } = question;
    let (mut notes, mut deallocation) = (Vec::new(), None);
    let plugins = framework.at(ExtensionPoint::PostFilter);
    let points: Vec<_> = plugins.filter_map(|plugin| Some((plugin.name(), plugin.as_post_filter()?))).collect();
    let (mut nomination, mut status) = match points.is_empty() {
        true => (Nomination::None, Status::Success),
        false => (Nomination::Kept, Status::Unschedulable),
    };
    for (name, point) in points {
        let failure = Failure { diagnosis: &diagnosis, filters, seed };
        let preemption = point.as_preemption().filter(|_| extenders.iter().any(|extender| extender.preempts()));
        let outcome = match preemption {
            Some(preemption) => extended::preempt(question, preemption, state, &failure).await,
            None => {
                let call = || point.post_filter(state, pod, snapshot, &failure);
                watch.plugin(name, ExtensionPoint::PostFilter, call, |outcome| outcome.into())
            }
        };
        match outcome {
            PostFilterOutcome::Nominated(found) => {
                (nomination, notes, status) = (found, Vec::new(), Status::Success);
                break;
            }
            PostFilterOutcome::Unhelpful(note) => notes.push(note),
            PostFilterOutcome::Deallocates(claim, note) => {
                deallocation = Some(claim);
                notes.push(note);
            }
            PostFilterOutcome::Hopeless(note) => {
                nomination = Nomination::None;
                notes.push(note);
            }
            PostFilterOutcome::Failed(why) => {
                (nomination, notes, status) = (Nomination::Kept, vec![why], Status::Error);
                break;
            }
        }
    }
    watch.lap(ExtensionPoint::PostFilter, status);
    diagnosis.set_nomination(nomination);
    if let Some(claim) = deallocation {
        diagnosis.set_deallocation(claim);
    }
    diagnosis.set_epilogue(notes.join(", "));
    diagnosis.into()
}

fn reserve(
    framework: &Framework,
    state: &CycleState,
    pod: &PodInfo,
    node: &NodeInfo,
    mut placement: Placement,
    watch: &mut Stopwatch<'_>,
) -> Placement {
    for plugin in framework.at(ExtensionPoint::Reserve) {
        let Some(point) = plugin.as_reserve() else { continue };
        let call = || point.reserve(state, pod, node, &mut placement);
        watch.plugin(plugin.name(), ExtensionPoint::Reserve, call, |()| Status::Success);
    }
    watch.lap(ExtensionPoint::Reserve, Status::Success);
    placement
}

/// The weighted sum of the plugins' scores for each node.
fn score(
    framework: &Framework,
    state: &mut CycleState,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
    watch: &mut Stopwatch<'_>,
) -> Vec<i64> {
    let mut totals = vec![0_i64; nodes.len()];
    let mut scores = Vec::with_capacity(nodes.len());
    let unneeded = pre_score(framework, state, pod, nodes, watch);
    watch.lap(ExtensionPoint::PreScore, Status::Success);
    for enabled in framework.enabled_at(ExtensionPoint::Score) {
        let plugin = &enabled.plugin;
        let Some(point) = plugin.as_score().filter(|_| !unneeded.contains(&plugin.name())) else { continue };
        scores.clear();
        let call = || {
            point.score_all(state, pod, nodes, &mut scores);
            Score::normalize(point, &mut scores);
        };
        watch.plugin(plugin.name(), ExtensionPoint::Score, call, |()| Status::Success);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total = total.saturating_add(enabled.weigh(*score));
        }
    }
    watch.lap(ExtensionPoint::Score, Status::Success);
    totals
}

/// The plugins to which all nodes are equal.
pub(super) fn pre_score(
    framework: &Framework,
    state: &mut CycleState,
    pod: &PodInfo,
    nodes: &[&NodeInfo],
    watch: &Stopwatch<'_>,
) -> Vec<&'static str> {
    let mut needs = |plugin: &&dyn Plugin| {
        let Some(point) = plugin.as_pre_score() else { return true };
        let status = |needed: &bool| if *needed { Status::Success } else { Status::Skip };
        watch.plugin(plugin.name(), ExtensionPoint::PreScore, || point.pre_score(state, pod, nodes), status)
    };
    framework.at(ExtensionPoint::PreScore).filter(|plugin| !needs(plugin)).map(Plugin::name).collect()
}

/// The index and value of the highest score; `tie` says which where several are highest.
fn best(scores: &[i64], tie: usize) -> (usize, i64) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    let count = scores.iter().filter(|score| **score == highest).count();
    let winner = tie.checked_rem(count).unwrap_or(0);
    let mut highest_ones = scores.iter().enumerate().filter(|(_, score)| **score == highest);
    (highest_ones.nth(winner).map_or(0, |(index, _)| index), highest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tie_can_win() {
        let winners: BTreeSet<usize> = (0..10).map(|tie| best(&[7, 9, 3, 9, 9], tie).0).collect();
        assert_eq!(winners, BTreeSet::from([1, 3, 4]));
    }
}
