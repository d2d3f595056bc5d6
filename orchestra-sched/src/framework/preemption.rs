use std::sync::Arc;

use orchestra_core::scheduler::{PodInfo, Snapshot};

use super::{CycleState, Failure, PostFilterOutcome};

/// A node that takes a pod once others are gone from it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The node's name.
    pub node: Arc<str>,
    /// Who has to go.
    pub victims: Vec<Arc<PodInfo>>,
    /// How many of them disruption budgets would not let go.
    pub violations: usize,
}

/// A [`PostFilter`](super::PostFilter) that has others go, in two steps, between which [extenders](crate::extender) are asked.
pub trait Preemption: Send + Sync {
    /// The nodes where room can be made; or what becomes of the attempt if there are none. It leaves `state` as it was.
    fn candidates(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        failure: &Failure<'_>,
    ) -> Result<Vec<Candidate>, PostFilterOutcome>;

    /// Takes the best of those that are left. The victims may be others by now, and in any order.
    fn choose(&self, candidates: Vec<Candidate>) -> PostFilterOutcome;
}
