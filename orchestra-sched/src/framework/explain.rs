//! One decision with all of its reasons: nobody's word is left out because of another's.

use std::{collections::BTreeSet, sync::Arc};

use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection, Scheduler as _, Snapshot};

use super::{
    CycleState, ExtensionPoint, Filter, Filters, Framework, Plugin, PreFilter, PreFilterOutcome, Score,
    cycle::pre_score, measures::Stopwatch,
};
use crate::explain::{Explanation, GangExplanation, NodeExplanation, NodeScore, PluginVerdict, Scorer, Verdict};

impl Framework {
    /// Asks every plugin about every node. Other than a decision it neither stops at the first rejection nor looks at a sample of the nodes only.
    /// Pods that wait for room on a node count as in a decision ([`Filters::check_with_nominated`]).
    ///
    /// Extenders are not asked, as that takes a network.
    ///
    /// A plugin whose PreFilter rejects the pod or fails is not asked about nodes, and the others are asked as if it were not there.
    pub fn explain(&self, pod: &PodInfo, snapshot: &Snapshot) -> Explanation {
        let mut state = CycleState::default();
        let judges = self.judges(&mut state, pod, snapshot);
        let filters = filters(&judges);
        let explain = |node: &Arc<NodeInfo>| explain_node(&judges, &filters, &mut state, pod, node, snapshot);
        let mut nodes: Vec<_> = snapshot.iter().map(explain).collect();
        let scorers = self.score_feasible(&mut state, pod, snapshot, &mut nodes);
        let none_fits = nodes.iter().all(|node| !node.feasible);
        let message = none_fits.then(|| self.schedule(pod, snapshot, 0).err()).flatten();
        let not_asked = self.extenders_for(pod).map(|extender| extender.name().to_owned()).collect();
        let message = message.map(|error| error.to_string());
        Explanation {
            pod: pod.key().to_string(),
            gang: self.explain_gang(pod, snapshot),
            message,
            scorers,
            nodes,
            not_asked,
        }
    }

    fn explain_gang(&self, pod: &PodInfo, snapshot: &Snapshot) -> Option<GangExplanation> {
        let group = self.group(pod)?;
        let is_mate = |other: &&Arc<PodInfo>| self.group(other).as_ref() == Some(&group);
        let placed = snapshot.iter().flat_map(|node| node.pods()).filter(is_mate).count();
        // How many wait is not known here: they are taken to be enough.
        let (minimum, held_back) = match self.quorum(&group, usize::MAX, snapshot.objects()) {
            Ok(quorum) => (quorum.minimum, None),
            Err(rejection) => (0, Some(rejection.reasons().join(", "))),
        };
        let needs_others = minimum > 1 || held_back.is_some();
        needs_others.then(|| GangExplanation { group: group.to_string(), minimum, placed, held_back })
    }

    fn judges<'a>(&'a self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Vec<Judge<'a>> {
        let points = |plugin: &'a dyn Plugin| {
            let takes_part = |point| self.at(point).any(|other| other.name() == plugin.name());
            let before = plugin.as_pre_filter().filter(|_| takes_part(ExtensionPoint::PreFilter));
            (plugin.name(), before, plugin.as_filter().filter(|_| takes_part(ExtensionPoint::Filter)))
        };
        let points = self.all().map(points).filter(|(_, before, filter)| before.is_some() || filter.is_some());
        points.map(|(name, before, filter)| Judge::of(name, before, filter, state, pod, snapshot)).collect()
    }

    fn score_feasible(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        explained: &mut [NodeExplanation],
    ) -> Vec<Scorer> {
        let feasible: Vec<&NodeInfo> =
            snapshot.iter().zip(&*explained).filter(|(_, e)| e.feasible).map(|(node, _)| &**node).collect();
        let mut scorers = Vec::new();
        if feasible.is_empty() {
            return scorers;
        }
        let unneeded = pre_score(self, state, pod, &feasible, &Stopwatch::start(None));
        for enabled in self.enabled_at(ExtensionPoint::Score) {
            let (plugin, weight) = (&enabled.plugin, enabled.weight);
            let Some(point) = plugin.as_score() else { continue };
            let skipped = unneeded.contains(&plugin.name());
            scorers.push(Scorer { plugin: plugin.name().to_owned(), weight, skipped });
            if skipped {
                continue;
            }
            let mut raw = Vec::with_capacity(feasible.len());
            point.score_all(state, pod, &feasible, &mut raw);
            let mut normalized = raw.clone();
            Score::normalize(point, &mut normalized);
            let targets = explained.iter_mut().filter(|node| node.feasible);
            for (node, (raw, normalized)) in targets.zip(raw.into_iter().zip(normalized)) {
                let weighted = enabled.weigh(normalized);
                let plugin = plugin.name().to_owned();
                node.scores.push(NodeScore { plugin, raw, normalized, weight, weighted });
                node.total = node.total.map(|total| total.saturating_add(weighted));
            }
        }
        scorers
    }
}

/// A plugin that filters, after its look at the pod.
struct Judge<'a> {
    plugin: &'static str,
    /// The same on every node.
    everywhere: Option<Verdict>,
    /// The only nodes that it leaves in question.
    only: Option<BTreeSet<String>>,
    pre_filter: Option<&'a dyn PreFilter>,
    filter: Option<&'a dyn Filter>,
}

impl<'a> Judge<'a> {
    fn of(
        plugin: &'static str,
        before: Option<&'a dyn PreFilter>,
        filter: Option<&'a dyn Filter>,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
    ) -> Self {
        let outcome = before.map(|point| point.pre_filter(state, pod, snapshot));
        let mut only = None;
        let everywhere = match outcome.unwrap_or(PreFilterOutcome::Continue) {
            PreFilterOutcome::Continue => None,
            PreFilterOutcome::Skip => Some(Verdict::Skips),
            PreFilterOutcome::Only(nodes) => {
                only = Some(nodes);
                None
            }
            PreFilterOutcome::Reject(rejection) => Some(rejects(&rejection, true)),
            PreFilterOutcome::Fail(error) => Some(Verdict::Fails { error }),
        };
        Self { plugin, everywhere, only, pre_filter: before, filter }
    }

    fn verdict(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        if let Some(verdict) = &self.everywhere {
            return verdict.clone();
        }
        if self.only.as_ref().is_some_and(|only| !only.contains(&**node.name())) {
            return Verdict::Excludes;
        }
        match self.filter.map(|filter| filter.filter(state, pod, node)) {
            Some(Err(rejection)) if rejection.is_failure() => Verdict::Fails { error: rejection.reasons().join(", ") },
            Some(Err(rejection)) => rejects(&rejection, false),
            Some(Ok(())) | None => Verdict::Accepts,
        }
    }
}

fn rejects(rejection: &Rejection, everywhere: bool) -> Verdict {
    let reasons = rejection.reasons().iter().map(|reason| reason.clone().into_owned()).collect();
    Verdict::Rejects { reasons, resolvable: rejection.is_resolvable(), everywhere }
}

/// Those of the judges that look at nodes, which have to hear of pods that are there on trial.
fn filters<'a>(judges: &[Judge<'a>]) -> Filters<'a> {
    let mut filters = Filters::default();
    for judge in judges.iter().filter(|judge| judge.everywhere.is_none()) {
        if let Some(filter) = judge.filter {
            filters.push(judge.plugin, filter, judge.pre_filter);
        }
    }
    filters
}

/// As in a decision the pod has to fit beside the pods that wait for room on the node, and without them, too.
fn explain_node(
    judges: &[Judge<'_>],
    filters: &Filters<'_>,
    state: &mut CycleState,
    pod: &PodInfo,
    node: &NodeInfo,
    snapshot: &Snapshot,
) -> NodeExplanation {
    let ask = |state: &CycleState, node: &NodeInfo| -> Vec<PluginVerdict> {
        let ask = |judge: &Judge<'_>| judge.verdict(state, pod, node);
        judges.iter().map(|judge| PluginVerdict { plugin: judge.plugin.to_owned(), verdict: ask(judge) }).collect()
    };
    let crowded = filters.beside_nominated(state, pod, node, snapshot, ask);
    let mut verdicts = ask(state, node);
    for (verdict, crowded) in verdicts.iter_mut().zip(crowded.into_iter().flatten()) {
        if !crowded.verdict.is_favourable() {
            *verdict = crowded;
        }
    }
    let feasible = verdicts.iter().all(|verdict| verdict.verdict.is_favourable());
    let total = feasible.then_some(0);
    NodeExplanation { node: node.name().to_string(), feasible, verdicts, scores: Vec::new(), total }
}
