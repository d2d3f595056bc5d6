use std::{collections::BTreeMap, sync::Arc};

use crate::lean_pod::LeanPod;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use orchestra_core::{ObjectKey, condition};
use parking_lot::Mutex;

/// When that happened which endpoints follow, by which the time until they do is measured (`TriggerTimeTracker`).
///
/// It is the earliest change since the endpoints were last made right: of a pod's readiness, or the creation of the Service.
#[derive(Default)]
pub(in crate::controllers) struct TriggerTimes {
    known: Mutex<BTreeMap<ObjectKey, Known>>,
}

struct Known {
    service: Option<Timestamp>,
    pods: BTreeMap<String, Timestamp>,
}

impl TriggerTimes {
    /// What to write as the trigger of the next change of the endpoints of `service`, if there was one. Notes the state as known.
    pub(in crate::controllers) fn next(&self, service: &Service, pods: &[Arc<LeanPod>]) -> Option<Timestamp> {
        let created = service.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let times = pods.iter().filter_map(|pod| Some((pod.metadata.name.clone()?, ready_changed(pod)?)));
        let now = Known { service: created, pods: times.collect() };
        let mut known = self.known.lock();
        let key = ObjectKey::of(service);
        let Some(before) = known.get(&key) else {
            known.insert(key, now);
            return created;
        };
        let of_pods = now.pods.iter().filter(|(name, time)| before.pods.get(*name).is_none_or(|known| known < time));
        let of_service = now.service.filter(|time| before.service.is_none_or(|known| known < *time));
        let trigger = of_pods.map(|(_, time)| *time).chain(of_service).min();
        known.insert(key, now);
        trigger
    }

    /// Forgets a Service that is gone.
    pub(in crate::controllers) fn forget(&self, service: &ObjectKey) {
        self.known.lock().remove(service);
    }
}

fn ready_changed(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    condition::find(conditions, "Ready")?.last_transition_time.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, second: u8) -> Arc<LeanPod> {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": time});
        let pod = json!({"metadata": {"name": name}, "status": {"conditions": [ready]}});
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    #[test]
    fn it_is_the_earliest_change_since_the_last_look() {
        let times = TriggerTimes::default();
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": "web", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
        }))
        .unwrap();
        let look = |pods: &[Arc<LeanPod>]| times.next(&service, pods).map(|time| time.to_string());
        assert_eq!(look(&[pod("a", 5)]).as_deref(), Some("2026-01-01T00:00:00Z"), "a new service");
        assert_eq!(look(&[pod("a", 5)]), None);
        assert_eq!(look(&[pod("a", 9), pod("b", 8)]).as_deref(), Some("2026-01-01T00:00:08Z"));
        assert_eq!(look(&[pod("a", 9)]), None, "a pod that is gone tells no time");
        times.forget(&ObjectKey::of(&service));
        assert_eq!(times.next(&service, &[]).map(|time| time.to_string()).as_deref(), Some("2026-01-01T00:00:00Z"));
    }
}
