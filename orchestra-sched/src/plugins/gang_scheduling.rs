use k8s_openapi::api::scheduling::v1alpha2::{PodGroup, PodGroupSchedulingPolicy};
use orchestra_core::{
    ObjectKey,
    informer::Change,
    scheduler::{ClusterEvent, EventKind, ObjectKind, Objects, PodInfo, Quorum, Rejection},
};

use crate::framework::{Grouping, Plugin, Requeue};

/// Has the pods of a PodGroup with the policy `gang` get nodes together (KEP-4671): at least `minCount` of them at once, or none. A pod waits
/// for its PodGroup, and for so many pods of it to exist.
///
/// Kubernetes has decided pods wait for each other at `Permit`; here the whole gang is one decision, so none of it holds room meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub struct GangScheduling;

impl Plugin for GangScheduling {
    fn name(&self) -> &'static str {
        "GangScheduling"
    }

    fn as_grouping(&self) -> Option<&dyn Grouping> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        vec![ObjectKind::of::<PodGroup>()]
    }
}

impl Grouping for GangScheduling {
    fn group(&self, pod: &PodInfo) -> Option<ObjectKey> {
        let name = pod.scheduling_group()?;
        Some(ObjectKey::namespaced(pod.key().namespace().unwrap_or("default"), name))
    }

    fn quorum(&self, group: &ObjectKey, pods: usize, objects: &Objects) -> Result<Quorum, Rejection> {
        let Some(found) = objects.get::<PodGroup>(group) else {
            let why = format!("waiting for pods's pod group {:?} to appear in scheduling queue", group.name());
            return Err(Rejection::new(why).unresolvable());
        };
        let minimum = min_count(&found.spec.scheduling_policy);
        if pods < minimum {
            let why = "waiting for minCount pods from a gang to appear in scheduling queue";
            return Err(Rejection::new(why).unresolvable());
        }
        Ok(Quorum::of(minimum, Rejection::new("waiting for minCount pods from a gang to be scheduled")))
    }
}

/// How many pods have to have nodes at once; zero if each is on its own.
fn min_count(policy: &PodGroupSchedulingPolicy) -> usize {
    policy.gang.as_ref().and_then(|gang| usize::try_from(gang.min_count).ok()).unwrap_or(0)
}

impl Requeue for GangScheduling {
    fn concerns(&self, kind: EventKind) -> bool {
        kind == EventKind::change_of::<PodGroup>()
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let Some(change) = event.change_of::<PodGroup>() else { return true };
        if self.group(pod) != Some(ObjectKey::of(&**change.object())) {
            return false;
        }
        match change {
            Change::Added(_) => true,
            Change::Updated { old, new } => {
                min_count(&new.spec.scheduling_policy) < min_count(&old.spec.scheduling_policy)
            }
            Change::Deleted(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orchestra_core::scheduler::ObjectChange;
    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn member() -> PodInfo {
        pod(json!({ "schedulingGroup": { "podGroupName": "g" } }))
    }

    fn group(name: &str, policy: Value) -> Arc<PodGroup> {
        let namespace = member().key().namespace().unwrap_or("default").to_owned();
        let spec = json!({ "schedulingPolicy": policy });
        let group = json!({ "metadata": { "name": name, "namespace": namespace }, "spec": spec });
        Arc::new(serde_json::from_value(group).unwrap())
    }

    fn gang(count: i32) -> Value {
        json!({ "gang": { "minCount": count } })
    }

    fn quorum(policy: Value, pods: usize) -> Result<usize, String> {
        let (mut objects, key) = (Objects::default(), GangScheduling.group(&member()).unwrap());
        objects.set(group("g", policy));
        let quorum = GangScheduling.quorum(&key, pods, &objects);
        quorum.map(|quorum| quorum.minimum).map_err(|rejection| rejection.reasons().join(", "))
    }

    #[test]
    fn a_pod_is_of_the_group_that_it_names() {
        assert_eq!(GangScheduling.group(&member()).unwrap().name(), "g");
        for alone in [json!({}), json!({ "schedulingGroup": {} }), json!({ "schedulingGroup": { "podGroupName": "" } })]
        {
            assert_eq!(GangScheduling.group(&pod(alone)), None);
        }
    }

    #[test]
    fn a_group_waits_for_its_object() {
        let key = GangScheduling.group(&member()).unwrap();
        let missing = GangScheduling.quorum(&key, 9, &Objects::default()).unwrap_err();
        assert_eq!(missing.reasons(), ["waiting for pods's pod group \"g\" to appear in scheduling queue"]);
    }

    #[test]
    fn a_gang_waits_for_as_many_pods_as_it_needs() {
        let words = "waiting for minCount pods from a gang to appear in scheduling queue";
        assert_eq!(quorum(gang(4), 3), Err(words.to_owned()));
        assert_eq!(quorum(gang(4), 4), Ok(4));
        assert_eq!(quorum(gang(4), 5), Ok(4));
    }

    #[test]
    fn the_pods_of_a_basic_group_are_on_their_own() {
        assert_eq!(quorum(json!({ "basic": {} }), 1), Ok(0));
        assert_eq!(quorum(gang(-1), 1), Ok(0), "no API server lets that pass");
    }

    fn helps(change: Change<PodGroup>) -> bool {
        let event = ClusterEvent::ObjectChanged(ObjectChange::from(change));
        assert!(GangScheduling.concerns(event.kind()));
        GangScheduling.may_help(&event, &member())
    }

    #[test]
    fn a_group_that_comes_is_worth_an_attempt_and_another_is_not() {
        assert!(helps(Change::Added(group("g", gang(4)))));
        assert!(!helps(Change::Added(group("other", gang(4)))));
        assert!(!helps(Change::Deleted(group("g", gang(4)))));
        assert!(!GangScheduling.concerns(EventKind::NodeAdded));
    }

    #[test]
    fn a_gang_that_needs_fewer_pods_is_worth_an_attempt_and_a_change_of_its_status_is_not() {
        let update = |from, to| helps(Change::Updated { old: group("g", gang(from)), new: group("g", gang(to)) });
        assert!(update(4, 3));
        assert!(!update(4, 4));
        assert!(!update(3, 4));
    }
}
