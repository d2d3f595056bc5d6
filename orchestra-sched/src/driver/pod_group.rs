//! Tells users of a PodGroup whether its pods have nodes: by its condition `PodGroupScheduled` (KEP-4671).

use std::sync::Arc;

use k8s_openapi::{
    api::scheduling::v1alpha2::PodGroup,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use orchestra_core::{ObjectKey, condition, scheduler::ScheduleError};
use serde_json::json;
use tracing::warn;

use super::Shared;

const SCHEDULED: &str = "PodGroupScheduled";

/// What an attempt means for a group.
pub(super) struct GroupCondition {
    is_scheduled: bool,
    reason: &'static str,
    message: String,
}

impl GroupCondition {
    /// As many pods as it asks for have nodes.
    pub(super) fn scheduled() -> Self {
        Self { is_scheduled: true, reason: "Scheduled", message: String::new() }
    }

    /// They do not fit.
    pub(super) fn unschedulable(message: impl Into<String>) -> Self {
        Self { is_scheduled: false, reason: "Unschedulable", message: message.into() }
    }

    /// The scheduler failed.
    pub(super) fn failed(message: String) -> Self {
        Self { is_scheduled: false, reason: "SchedulerError", message }
    }

    /// Why the only pod in question got no node.
    pub(super) fn of(error: &ScheduleError) -> Self {
        match error {
            ScheduleError::Unschedulable(_) => Self::unschedulable(""),
            other => Self::failed(other.to_string()),
        }
    }

    /// The group's new condition; `None` if it says the same already, or was scheduled before: that more pods of it find no node does not
    /// change that.
    fn on(self, group: &PodGroup, now: Time) -> Option<Condition> {
        let conditions = group.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let status = if self.is_scheduled { "True" } else { "False" };
        let old = condition::find(conditions, SCHEDULED);
        let is_old_news = |old: &Condition| {
            let is_same = old.status == status && old.reason == self.reason && old.message == self.message;
            is_same || (old.status == "True" && !self.is_scheduled)
        };
        if old.is_some_and(is_old_news) {
            return None;
        }
        let since = old.filter(|old| old.status == status).map(|old| old.last_transition_time.clone());
        Some(Condition {
            type_: SCHEDULED.to_owned(),
            status: status.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message,
            observed_generation: group.metadata.generation,
            last_transition_time: since.unwrap_or(now),
        })
    }
}

impl Shared {
    /// Writes the condition in the background.
    pub(super) async fn tell_group(self: &Arc<Self>, key: &ObjectKey, told: GroupCondition) {
        let (shared, key) = (Arc::clone(self), key.clone());
        self.in_background(async move { shared.write_group(&key, told).await }).await;
    }

    /// Writes the condition. A group that has no object, as those of other schedulers may not, is told nothing.
    pub(super) async fn write_group(&self, key: &ObjectKey, told: GroupCondition) {
        let Some(group) = self.state.read(|state| state.cache.objects().get::<PodGroup>(key).cloned()) else { return };
        let Some(condition) = told.on(&group, Time(self.clock.now())) else { return };
        let metadata = json!({ "uid": group.metadata.uid });
        let patch = Patch::Strategic(json!({ "metadata": metadata, "status": { "conditions": [condition] } }));
        let api = Api::<PodGroup>::namespaced(self.client.clone(), key.namespace().unwrap_or("default"));
        match api.patch_status(key.name(), &PatchParams::default(), &patch).await {
            Ok(_) => {}
            // Gone, or replaced: nobody waits for the news.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            // The next attempt writes it again.
            Err(error) => warn!(group = %key, %error, "condition {SCHEDULED} not written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn group(condition: Value) -> PodGroup {
        let conditions = if condition.is_null() { json!([]) } else { json!([condition]) };
        serde_json::from_value(json!({ "metadata": { "name": "g" }, "status": { "conditions": conditions } })).unwrap()
    }

    fn said(status: &str, reason: &str) -> Value {
        json!({ "type": SCHEDULED, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z" })
    }

    fn told(condition: GroupCondition, group: &PodGroup) -> Option<(String, String, String)> {
        let now = Time("2026-01-02T00:00:00Z".parse().unwrap());
        let time = |time: &Time| time.0.to_string();
        condition.on(group, now).map(|c| (c.status.clone(), c.reason.clone(), time(&c.last_transition_time)))
    }

    #[test]
    fn news_are_told_and_nothing_twice() {
        let is = |status: &str, reason: &str, time: &str| Some((status.to_owned(), reason.to_owned(), time.to_owned()));
        let day = |day| format!("2026-01-0{day}T00:00:00Z");
        let new = group(Value::Null);
        assert_eq!(told(GroupCondition::unschedulable(""), &new), is("False", "Unschedulable", &day(2)));
        assert_eq!(told(GroupCondition::scheduled(), &new), is("True", "Scheduled", &day(2)));
        let waits = group(said("False", "Unschedulable"));
        assert_eq!(told(GroupCondition::unschedulable(""), &waits), None);
        let failed = GroupCondition::failed("why".to_owned());
        assert_eq!(told(failed, &waits), is("False", "SchedulerError", &day(1)), "it is unscheduled as long as before");
        assert_eq!(told(GroupCondition::scheduled(), &waits), is("True", "Scheduled", &day(2)));
    }

    #[test]
    fn a_group_that_was_scheduled_stays_so() {
        let scheduled = group(said("True", "Scheduled"));
        assert_eq!(told(GroupCondition::unschedulable(""), &scheduled), None);
        assert_eq!(told(GroupCondition::scheduled(), &scheduled), None);
    }
}
