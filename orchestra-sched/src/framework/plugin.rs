use std::{collections::BTreeSet, sync::Arc};

use orchestra_core::{
    ObjectKey,
    scheduler::{
        ClusterEvent, Diagnosis, EventKind, NodeInfo, Nomination, ObjectKind, Objects, Placement, PodInfo, QueueSort,
        Quorum, Rejection, Snapshot, WaitingPods,
    },
};

use super::{Bind, CycleState, Filters, Permit, PostBind, PreBind, Preemption};

/// The highest score of a node, after normalising and before weighting.
pub const MAX_NODE_SCORE: i64 = 100;

/// A part of a scheduler. It takes part at the extension points for which it returns itself.
///
/// # Contract
/// Up to the decision plugins do no I/O, do not wait, and answer the same for the same input: what differs between runs comes in by the seed
/// alone. [`PreBind`] and [`Bind`] may do what they need. A panic costs one attempt; it is told with the plugin's name.
///
/// # Example
/// ```
/// use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection};
/// use orchestra_sched::framework::{CycleState, Filter, Framework, Plugin};
///
/// /// Keeps pods off nodes whose name begins with `spare-`.
/// struct KeepSpares;
///
/// impl Plugin for KeepSpares {
///     fn name(&self) -> &'static str { "KeepSpares" }
///     fn as_filter(&self) -> Option<&dyn Filter> { Some(self) }
/// }
///
/// impl Filter for KeepSpares {
///     fn filter(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
///         if node.name().starts_with("spare-") { Err(Rejection::new("node(s) are spare").unresolvable()) } else { Ok(()) }
///     }
/// }
///
/// let scheduler = Framework::builder().default_plugins().plugin(KeepSpares).build();
/// ```
pub trait Plugin: Send + Sync + 'static {
    /// The name, by which profiles and diagnoses know it: `NodeResourcesFit`.
    fn name(&self) -> &'static str;

    /// Says whether a pod may be tried at all.
    fn as_pre_enqueue(&self) -> Option<&dyn PreEnqueue> {
        None
    }

    /// Says which pods are to have nodes at once. A profile has one plugin that does; it counts as one of those that take part at `PreEnqueue`.
    fn as_grouping(&self) -> Option<&dyn Grouping> {
        None
    }

    /// Says which pod is tried first. A profile has one plugin that does.
    fn as_queue_sort(&self) -> Option<Arc<dyn QueueSort>> {
        None
    }

    /// Takes part before nodes are looked at.
    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        None
    }

    /// Says which nodes a pod can run on.
    fn as_filter(&self) -> Option<&dyn Filter> {
        None
    }

    /// Acts when no node was found.
    fn as_post_filter(&self) -> Option<&dyn PostFilter> {
        None
    }

    /// Takes part before nodes are scored.
    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        None
    }

    /// Says which nodes are better.
    fn as_score(&self) -> Option<&dyn Score> {
        None
    }

    /// Says what else has to be done before the pod runs on the chosen node.
    fn as_reserve(&self) -> Option<&dyn Reserve> {
        None
    }

    /// Says whether a pod may be bound to the node that was chosen for it, or waits.
    fn as_permit(&self) -> Option<&dyn Permit> {
        None
    }

    /// Does what has to be done before a pod is bound.
    fn as_pre_bind(&self) -> Option<&dyn PreBind> {
        None
    }

    /// Binds pods.
    fn as_bind(&self) -> Option<&dyn Bind> {
        None
    }

    /// Hears of pods that were bound.
    fn as_post_bind(&self) -> Option<&dyn PostBind> {
        None
    }

    /// Says which events may change its rejections. Without it, every event is taken to.
    fn as_requeue(&self) -> Option<&dyn Requeue> {
        None
    }

    /// The kinds of [`Snapshot::objects`] that it looks at: what no plugin names is not there.
    fn uses(&self) -> Vec<ObjectKind> {
        Vec::new()
    }
}

/// Says whether a pod may be tried at all now. This is called under the queue's lock: it must be quick.
pub trait PreEnqueue: Send + Sync {
    /// `Ok` if it may, else why not. The framework adds the plugin's name. A pod that is held back waits for its own change, or for an
    /// event that the plugin's [`Requeue`] takes to help.
    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection>;
}

/// Says which pods are to have nodes at once: all of a group that it asks for, or none. Both are called under the queue's lock: they must be
/// quick.
pub trait Grouping {
    /// As [`Scheduler::group`](orchestra_core::scheduler::Scheduler::group).
    fn group(&self, pod: &PodInfo) -> Option<ObjectKey>;

    /// As [`Scheduler::quorum`](orchestra_core::scheduler::Scheduler::quorum). The framework adds the plugin's name to what is rejected; the
    /// plugin's [`Requeue`] says when that is worth another attempt. That another pod of the group came need not be said.
    fn quorum(&self, group: &ObjectKey, pods: usize, objects: &Objects) -> Result<Quorum, Rejection>;
}

/// What a [`PreFilter`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreFilterOutcome {
    /// Ask the plugin about each node.
    Continue,
    /// The plugin has nothing against any node: do not ask it.
    Skip,
    /// Only these nodes are in question.
    Only(BTreeSet<String>),
    /// The pod cannot run on any node. If fewer pods could change that, the other plugins are still asked, so that it is known from
    /// where pods should go.
    Reject(Rejection),
    /// The plugin cannot tell: the attempt fails, and is repeated after a back-off.
    Fail(String),
}

/// Works out, once for a pod, what its [`Filter`] needs for each node.
pub trait PreFilter: Send + Sync {
    /// Looks at the pod and all nodes, and keeps in `state` what it will need.
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome;

    /// Changes `state` to what it would be if `added` were on `node` too, where it has been put: preemption, and pods that wait for
    /// room on a node, are tried like this. Only a plugin that keeps in `state` what it knows of pods has to do anything. What
    /// plugins share between decisions must stay as it is.
    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, node: &NodeInfo) {
        let _ = (state, pod, added, node);
    }

    /// Changes `state` to what it would be if `removed` were not on `node`, from which it has been taken. It undoes
    /// [`add_pod`](Self::add_pod), and is undone by it.
    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo) {
        let _ = (state, pod, removed, node);
    }
}

/// Says whether a pod can run on a node. This is called for every pod and node: it must not allocate where it accepts.
pub trait Filter: Send + Sync {
    /// `Ok` if `pod` can run on `node`, else why not. The framework adds the plugin's name.
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;
}

/// What a [`PostFilter`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PostFilterOutcome {
    /// There will be room: nobody else is asked.
    Nominated(Nomination),
    /// It does nothing for now; the text ends the message to the user. Which node the pod waits for stays as it is.
    Unhelpful(String),
    /// The claim is to give its devices back, so that it may get others; the text ends the message to the user. The others are asked too.
    Deallocates(ObjectKey, String),
    /// It can do nothing; the text ends the message to the user. The pod waits for no node any more.
    Hopeless(String),
    /// It failed: nobody else is asked, and the text alone ends the message.
    Failed(String),
}

/// What is known of an attempt that found no node.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    /// Why each node was rejected.
    pub diagnosis: &'a Diagnosis,
    /// Who may be asked about nodes as they would be if pods went.
    pub filters: &'a Filters<'a>,
    /// The decision's seed.
    pub seed: u64,
}

/// Acts on a pod that fits nowhere.
pub trait PostFilter: Send + Sync {
    /// Looks for a way to make room. It leaves `state` as it was.
    fn post_filter(
        &self,
        state: &mut CycleState,
        pod: &PodInfo,
        snapshot: &Snapshot,
        failure: &Failure<'_>,
    ) -> PostFilterOutcome;

    /// The same in two steps, if it has others go: [extenders](crate::extender) that have a say in who does are asked between them.
    fn as_preemption(&self) -> Option<&dyn Preemption> {
        None
    }
}

/// Works out, once for a pod, what its [`Score`] needs for each node.
pub trait PreScore: Send + Sync {
    /// Looks at the pod and the nodes it can run on. `false` if all of them are equal to the plugin: it is not asked then.
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, nodes: &[&NodeInfo]) -> bool;
}

/// Compares the nodes that a pod can run on.
pub trait Score: Send + Sync {
    /// How good `node` is: `0..=`[`MAX_NODE_SCORE`], or anything that [`normalize`](Score::normalize) brings there.
    fn score(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> i64;

    /// Brings the scores of all nodes to `0..=`[`MAX_NODE_SCORE`].
    fn normalize(&self, scores: &mut [i64]) {
        let _ = scores;
    }

    /// Scores all nodes; here so that the call for each node is not a virtual one.
    fn score_all(&self, state: &CycleState, pod: &PodInfo, nodes: &[&NodeInfo], scores: &mut Vec<i64>) {
        scores.extend(nodes.iter().map(|node| self.score(state, pod, node)));
    }
}

/// Says what has to be done before a pod runs on the node that was chosen for it. The plugin does none of it: whoever asked for the
/// decision does, and takes the next one as if it were done.
pub trait Reserve: Send + Sync {
    /// Adds to `placement`, which puts `pod` on `node`.
    fn reserve(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo, placement: &mut Placement);

    /// The pod gives the node up: it is denied, or was not bound. Called for every plugin, in the opposite order, whatever came of the
    /// others.
    fn unreserve(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods) {
        let _ = (pod, node, waiting);
    }
}

/// Says when a pod that the plugin rejected is worth another attempt (queueing hints, KEP-4247).
pub trait Requeue: Send + Sync {
    /// Whether events of this kind can change a rejection at all.
    fn concerns(&self, kind: EventKind) -> bool;

    /// Whether `event`, of a kind that concerns the plugin, may make `pod` schedulable. When in doubt: yes.
    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let _ = (event, pod);
        true
    }
}

/// Scales scores so that the highest becomes [`MAX_NODE_SCORE`]; `reverse` where a low score was the better one.
///
/// ```
/// use orchestra_sched::framework::normalize;
/// let mut scores = [0, 5, 10];
/// normalize(&mut scores, true);
/// assert_eq!(scores, [100, 50, 0]);
/// ```
pub fn normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0).max(0);
    for score in scores {
        let scaled = if highest == 0 { 0 } else { MAX_NODE_SCORE.saturating_mul(*score) / highest };
        *score = if reverse { MAX_NODE_SCORE.saturating_sub(scaled) } else { scaled };
    }
}
