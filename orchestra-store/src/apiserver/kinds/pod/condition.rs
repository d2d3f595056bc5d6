//! The conditions that the API server itself gives to pods.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{PodCondition, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
};
use orchestra_core::condition;

/// A new pod with scheduling gates is not to be scheduled (KEP-3521).
pub(super) fn gated(now: Timestamp) -> PodCondition {
    PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("SchedulingGated".to_owned()),
        message: Some("Scheduling is blocked due to non-empty scheduling gates".to_owned()),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    }
}

/// A bound pod is scheduled.
pub(super) fn set_scheduled(status: &mut PodStatus, now: Timestamp) {
    let scheduled = PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "True".to_owned(),
        last_transition_time: Some(Time(now)),
        ..PodCondition::default()
    };
    condition::set(status.conditions.get_or_insert_default(), scheduled);
}
