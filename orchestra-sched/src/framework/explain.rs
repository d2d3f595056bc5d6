//! One decision with all of its reasons: nobody's word is left out because of another's.

use std::collections::BTreeSet;

use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection, Scheduler as _, Snapshot};

use super::{
    CycleState, ExtensionPoint, Filter, Framework, Plugin, PreFilter, PreFilterOutcome, Score, cycle::pre_score,
    profile::Enabled,
};
use crate::explain::{Explanation, NodeExplanation, NodeScore, PluginVerdict, Scorer, Verdict};

impl Framework {
    /// Asks every plugin about every node. Other than a decision it neither stops at the first rejection nor looks at a sample of the nodes only.
    ///
    /// A plugin whose PreFilter rejects the pod or fails is not asked about nodes, and the others are asked as if it were not there.
    pub fn explain(&self, pod: &PodInfo, snapshot: &Snapshot) -> Explanation {
        let mut state = CycleState::default();
        let judges = self.judges(&mut state, pod, snapshot);
        let mut nodes: Vec<_> = snapshot.iter().map(|node| explain_node(&judges, &state, pod, node)).collect();
        let scorers = self.score_feasible(&mut state, pod, snapshot, &mut nodes);
        let none_fits = nodes.iter().all(|node| !node.feasible);
        let message = none_fits.then(|| self.schedule(pod, snapshot, 0).err()).flatten();
        Explanation { pod: pod.key().to_string(), message: message.map(|error| error.to_string()), scorers, nodes }
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
        let unneeded = pre_score(self, state, pod, &feasible);
        for Enabled { plugin, weight } in self.enabled_at(ExtensionPoint::Score) {
            let Some(point) = plugin.as_score() else { continue };
            let skipped = unneeded.contains(&plugin.name());
            scorers.push(Scorer { plugin: plugin.name().to_owned(), weight: *weight, skipped });
            if skipped {
                continue;
            }
            let mut raw = Vec::with_capacity(feasible.len());
            point.score_all(state, pod, &feasible, &mut raw);
            let mut normalized = raw.clone();
            Score::normalize(point, &mut normalized);
            let targets = explained.iter_mut().filter(|node| node.feasible);
            for (node, (raw, normalized)) in targets.zip(raw.into_iter().zip(normalized)) {
                let weighted = weight.saturating_mul(normalized);
                let plugin = plugin.name().to_owned();
                node.scores.push(NodeScore { plugin, raw, normalized, weight: *weight, weighted });
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
        Self { plugin, everywhere, only, filter }
    }

    fn verdict(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Verdict {
        if let Some(verdict) = &self.everywhere {
            return verdict.clone();
        }
        if self.only.as_ref().is_some_and(|only| !only.contains(&**node.name())) {
            return Verdict::Excludes;
        }
        match self.filter.map(|filter| filter.filter(state, pod, node)) {
            Some(Err(rejection)) => rejects(&rejection, false),
            Some(Ok(())) | None => Verdict::Accepts,
        }
    }
}

fn rejects(rejection: &Rejection, everywhere: bool) -> Verdict {
    let reasons = rejection.reasons().iter().map(|reason| reason.clone().into_owned()).collect();
    Verdict::Rejects { reasons, resolvable: rejection.is_resolvable(), everywhere }
}

fn explain_node(judges: &[Judge<'_>], state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> NodeExplanation {
    let verdicts: Vec<_> = judges
        .iter()
        .map(|judge| PluginVerdict { plugin: judge.plugin.to_owned(), verdict: judge.verdict(state, pod, node) })
        .collect();
    let feasible = verdicts.iter().all(|verdict| verdict.verdict.is_favourable());
    let total = feasible.then_some(0);
    NodeExplanation { node: node.name().to_string(), feasible, verdicts, scores: Vec::new(), total }
}
