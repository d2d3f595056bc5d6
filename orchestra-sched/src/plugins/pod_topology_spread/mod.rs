mod args;
mod constraint;
mod defaults;
mod score;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use orchestra_core::scheduler::{ClusterEvent, EventKind, NodeInfo, ObjectKind, PodInfo, Rejection, Snapshot};

pub use self::args::PodTopologySpreadArgs;
use self::{
    constraint::{Constraint, Spread, has_keys},
    defaults::Defaults,
};
use super::{
    tally::{Changes, Tallies, Tally},
    toleration::tolerations,
};
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, PreScore, Requeue, Score};

/// Keeps pods of a kind spread over the values of nodes' labels: zones, hosts (`topologySpreadConstraints`,
/// [documentation](https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/), KEP-895, KEP-3022, KEP-3094 and KEP-3243).
///
/// Constraints with `DoNotSchedule` leave nodes out, those with `ScheduleAnyway` compare them. A decision looks only at the nodes that changed since
/// the last one about a pod with the same constraints. Pods of Services and controllers that have no constraints have those of the plugin's
/// arguments: by default such that only compare nodes, by hosts and zones.
pub struct PodTopologySpread {
    tallies: Tallies<Spread>,
    defaults: Defaults,
}

impl PodTopologySpread {
    /// The plugin with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, in Kubernetes' words.
    pub fn new(args: PodTopologySpreadArgs) -> Result<Self, String> {
        let args = args.with_defaults();
        args.validate()?;
        Ok(Self { tallies: Tallies::default(), defaults: Defaults::of(args) })
    }

    /// The constraints that leave nodes out, and what nodes are compared by.
    fn spreads(&self, pod: &PodInfo, snapshot: &Snapshot) -> Result<[Option<Spread>; 2], String> {
        let some = |constraints: Vec<Constraint>| (!constraints.is_empty()).then(|| Spread::of(pod, constraints));
        if Constraint::any(pod) {
            let of = |required| Constraint::of(pod, required).map_err(|error| error.to_string());
            return Ok([some(of(true)?), some(of(false)?)]);
        }
        if self.defaults.constraints.is_empty() {
            return Ok([None, None]);
        }
        let Some(selector) = defaults::selector(pod, snapshot.objects()) else { return Ok([None, None]) };
        let of = |action: &str| {
            let all = self.defaults.constraints.iter().filter(|constraint| constraint.when_unsatisfiable == action);
            some(all.map(|constraint| Constraint::new(constraint, selector.clone())).collect())
        };
        let preferred = of("ScheduleAnyway");
        let preferred = if self.defaults.are_systems { preferred.map(Spread::of_any_keys) } else { preferred };
        Ok([of("DoNotSchedule"), preferred])
    }
}

impl Default for PodTopologySpread {
    fn default() -> Self {
        Self { tallies: Tallies::default(), defaults: Defaults::of(PodTopologySpreadArgs::default()) }
    }
}

impl Plugin for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        self.defaults.uses()
    }
}

/// What the filter needs of each node.
struct Required {
    tally: Arc<Tally<Spread>>,
    /// What would be other than it is.
    changes: Changes,
    /// Of each constraint, how many pods a value may have before this one comes.
    most: Vec<i64>,
}

impl Required {
    fn of(tally: Arc<Tally<Spread>>, pod: &PodInfo) -> Self {
        let mut required = Self { tally, changes: Changes::default(), most: Vec::new() };
        required.set_most(pod);
        required
    }

    fn set_most(&mut self, pod: &PodInfo) {
        let Self { tally, changes, .. } = self;
        let most = tally.question().constraints.iter().enumerate().map(|(key, constraint)| {
            // Where there are fewer values than there should be, one that is not there yet has no pod.
            let enough = i64::try_from(tally.number(key)).unwrap_or(i64::MAX) >= constraint.min_domains;
            let least = if enough { tally.least_with(key, changes) } else { 0 };
            least.saturating_add(constraint.max_skew) - i64::from(constraint.counts(pod))
        });
        self.most = most.collect();
    }

    /// Counts `by` more pods like `other` on `node`.
    fn count(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeInfo, by: i64) {
        let Self { tally, changes, .. } = self;
        let mut counted = false;
        for key in (0..tally.question().constraints.len()).filter(|key| tally.question().counts_pod(*key, other)) {
            tally.note(changes, key, node.name(), by);
            counted = true;
        }
        if counted {
            self.set_most(pod);
        }
    }
}

impl PreFilter for PodTopologySpread {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let [required, preferred] = match self.spreads(pod, snapshot) {
            Ok(spreads) => spreads,
            Err(error) => return PreFilterOutcome::Fail(error),
        };
        if let Some(preferred) = preferred {
            // Scores are of the nodes in question, but what they count is on all nodes.
            state.write(score::Counted(self.tallies.ask(preferred, snapshot)));
        }
        let Some(required) = required else { return PreFilterOutcome::Skip };
        let tally = self.tallies.ask(required, snapshot);
        state.write(Required::of(tally, pod));
        PreFilterOutcome::Continue
    }

    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, node: &NodeInfo) {
        if let Some(required) = state.read_mut::<Required>() {
            required.count(pod, added, node, 1);
        }
    }

    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo) {
        if let Some(required) = state.read_mut::<Required>() {
            required.count(pod, removed, node, -1);
        }
    }
}

impl Filter for PodTopologySpread {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(Required { tally, changes, most }) = state.read() else { return Ok(()) };
        for (key, (constraint, most)) in tally.question().constraints.iter().zip(most).enumerate() {
            let Some(value) = node.labels().get(&constraint.key) else {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                return Err(Rejection::new(reason).unresolvable());
            };
            if tally.of_value_with(key, value, changes).unwrap_or(0) > *most {
                return Err(Rejection::new("node(s) didn't match pod topology spread constraints"));
            }
        }
        Ok(())
    }
}

impl Requeue for PodTopologySpread {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(
            kind,
            EventKind::NodeAdded
                | EventKind::NodeUpdated
                | EventKind::NodeRemoved
                | EventKind::PodAssigned
                | EventKind::AssignedPodUpdated
                | EventKind::PodReleased
                | EventKind::PodUpdated
        )
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        // Which pods count for constraints that are not the pod's own is not known here.
        let Some(constraints) = Constraint::of(pod, true).ok().filter(|_| Constraint::any(pod)) else { return true };
        let same_namespace = |other: &PodInfo| other.key().namespace() == pod.key().namespace();
        let counts =
            |other: &PodInfo| -> Vec<bool> { constraints.iter().map(|constraint| constraint.counts(other)).collect() };
        let values = |node: &NodeInfo| -> Option<Vec<String>> {
            constraints.iter().map(|constraint| node.labels().get(&constraint.key).cloned()).collect()
        };
        match event {
            ClusterEvent::PodAssigned(other) | ClusterEvent::PodReleased(other) => {
                same_namespace(other) && counts(other).contains(&true)
            }
            ClusterEvent::AssignedPodUpdated { old, new } => same_namespace(new) && counts(old) != counts(new),
            ClusterEvent::NodeAdded(node) | ClusterEvent::NodeRemoved(node) => has_keys(&constraints, node),
            ClusterEvent::NodeUpdated { old, new } => {
                let counted = |node: &NodeInfo| Spread::of(pod, constraints.clone()).counts_node(node);
                values(old) != values(new) || counted(old) != counted(new)
            }
            ClusterEvent::PodUpdated { old, new } => {
                counts(old) != counts(new)
                    || constraints.iter().any(|constraint| constraint.honors_taints)
                        && tolerations(old) != tolerations(new)
            }
            _ => true,
        }
    }
}
