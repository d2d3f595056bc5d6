//! Status conditions: a list with one entry a type, whose `lastTransitionTime` changes only with its status.

use k8s_openapi::{
    api::{
        apps::v1::{DeploymentCondition, ReplicaSetCondition},
        core::v1::{NamespaceCondition, NodeCondition, Pod, PodCondition},
    },
    apimachinery::pkg::apis::meta::v1::{Condition as MetaCondition, Time},
    jiff::Timestamp,
};

/// The type of the condition of pods that are deleted for reasons that are not theirs (KEP-3329).
pub const DISRUPTION_TARGET: &str = "DisruptionTarget";

/// The condition of a pod that is deleted for `reason`, which was decided at `since`.
pub fn disruption_target(pod: &Pod, reason: &str, message: &str, since: Timestamp) -> PodCondition {
    PodCondition {
        type_: DISRUPTION_TARGET.to_owned(),
        status: "True".to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(Time(since)),
        observed_generation: pod.metadata.generation,
        ..PodCondition::default()
    }
}

/// What all condition types of the API have in common.
pub trait Condition {
    /// The condition's type: `Ready`.
    fn kind(&self) -> &str;
    /// `True`, `False` or `Unknown`.
    fn status(&self) -> &str;
    /// When the status last changed.
    fn last_transition_time(&self) -> Option<Time>;
    /// Sets when the status last changed.
    fn set_last_transition_time(&mut self, time: Option<Time>);
}

macro_rules! conditions {
    ($($ty:ty),*) => { $(impl Condition for $ty {
        fn kind(&self) -> &str {
            &self.type_
        }

        fn status(&self) -> &str {
            &self.status
        }

        fn last_transition_time(&self) -> Option<Time> {
            self.last_transition_time.clone()
        }

        fn set_last_transition_time(&mut self, time: Option<Time>) {
            self.last_transition_time = time;
        }
    })* };
}
conditions!(DeploymentCondition, ReplicaSetCondition, NamespaceCondition, NodeCondition, PodCondition);

impl Condition for MetaCondition {
    fn kind(&self) -> &str {
        &self.type_
    }

    fn status(&self) -> &str {
        &self.status
    }

    fn last_transition_time(&self) -> Option<Time> {
        Some(self.last_transition_time.clone())
    }

    fn set_last_transition_time(&mut self, time: Option<Time>) {
        if let Some(time) = time {
            self.last_transition_time = time;
        }
    }
}

/// The condition of type `kind`.
pub fn find<'a, C: Condition>(conditions: &'a [C], kind: &str) -> Option<&'a C> {
    conditions.iter().find(|condition| condition.kind() == kind)
}

/// Whether the condition of type `kind` is there and `True`.
pub fn is_true<C: Condition>(conditions: &[C], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status() == "True")
}

/// Puts `condition` in the place of the one of its type, or at the end. Where the status stays the same, so does the time of
/// the last transition.
///
/// ```
/// use k8s_openapi::api::core::v1::PodCondition;
/// use orchestra_core::condition;
/// let ready = |status: &str| PodCondition { type_: "Ready".into(), status: status.into(), ..Default::default() };
/// let mut conditions = vec![ready("False")];
/// condition::set(&mut conditions, ready("True"));
/// assert!(condition::is_true(&conditions, "Ready"));
/// assert_eq!(conditions.len(), 1);
/// ```
pub fn set<C: Condition>(conditions: &mut Vec<C>, mut condition: C) {
    match conditions.iter_mut().find(|old| old.kind() == condition.kind()) {
        Some(old) => {
            if old.status() == condition.status() && old.last_transition_time().is_some() {
                condition.set_last_transition_time(old.last_transition_time());
            }
            *old = condition;
        }
        None => conditions.push(condition),
    }
}

/// Removes the condition of type `kind`.
pub fn remove<C: Condition>(conditions: &mut Vec<C>, kind: &str) {
    conditions.retain(|condition| condition.kind() != kind);
}
