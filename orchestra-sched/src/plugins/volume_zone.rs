use std::collections::BTreeSet;

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use orchestra_core::{
    ObjectKey,
    persistent_volume::{class_of_claim, volume_name, waits_for_consumer},
    scheduler::{ClusterEvent, EventKind, NodeInfo, ObjectKind, Objects, PodInfo, Rejection, Snapshot},
};

use super::claims::{find_claim, is_claim_of, named_claims};
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue};

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";
const LABELS: [&str; 4] = [BETA_ZONE, BETA_REGION, ZONE, REGION];

/// What separates the zones of a volume that is in several.
const SEPARATOR: &str = "__";

/// Lets a pod go only to the zones and regions that the labels of its claims' volumes name.
///
/// A node that names neither takes any volume: clusters in one zone have no such labels. What volumes say by `nodeAffinity` instead is
/// `VolumeBinding`'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct VolumeZone;

impl Plugin for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }

    fn uses(&self) -> Vec<ObjectKind> {
        vec![
            ObjectKind::of::<PersistentVolumeClaim>(),
            ObjectKind::of::<PersistentVolume>(),
            ObjectKind::of::<StorageClass>(),
        ]
    }
}

/// Where the pod's volumes are.
struct Places(Vec<Place>);

#[derive(PartialEq, Eq)]
struct Place {
    label: &'static str,
    values: BTreeSet<String>,
}

impl Place {
    /// What the labels of `volume` say; one that is no list of names says nothing.
    fn of(volume: &PersistentVolume) -> impl Iterator<Item = Self> {
        LABELS.into_iter().filter_map(|label| {
            let values = volume.metadata.labels.as_ref()?.get(label)?;
            let values: BTreeSet<String> = values.split(SEPARATOR).map(|value| value.trim().to_owned()).collect();
            (!values.contains("")).then_some(Self { label, values })
        })
    }

    fn includes(&self, node: &NodeInfo) -> bool {
        // Nodes have lost the old labels that volumes may still bear.
        let current = match self.label {
            BETA_ZONE => ZONE,
            BETA_REGION => REGION,
            label => label,
        };
        let value = node.labels().get(self.label).or_else(|| node.labels().get(current));
        value.is_some_and(|value| self.values.contains(value))
    }
}

impl PreFilter for VolumeZone {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let mut places = Vec::new();
        for name in named_claims(pod) {
            match volume_of(name, pod, snapshot.objects()) {
                Ok(Some(volume)) => places.extend(Place::of(volume)),
                Ok(None) => {}
                Err(why) => return PreFilterOutcome::Reject(Rejection::new(why).unresolvable()),
            }
        }
        if places.is_empty() {
            return PreFilterOutcome::Skip;
        }
        state.write(Places(places));
        PreFilterOutcome::Continue
    }
}

/// The volume of a claim; `None` if it gets one when a node is chosen, else why there is none, in Kubernetes' words.
fn volume_of<'a>(name: &str, pod: &PodInfo, objects: &'a Objects) -> Result<Option<&'a PersistentVolume>, String> {
    if name.is_empty() {
        return Err("PersistentVolumeClaim had no name".to_owned());
    }
    let claim = find_claim(name, pod, objects)?;
    if let Some(volume) = volume_name(claim) {
        let found = objects.get::<PersistentVolume>(&ObjectKey::cluster(volume));
        return found.map(|volume| Some(&**volume)).ok_or_else(|| format!("persistentvolume {volume:?} not found"));
    }
    let Some(class) = class_of_claim(claim).filter(|class| !class.is_empty()) else {
        return Err("PersistentVolumeClaim had no pv name and storageClass name".to_owned());
    };
    let found = objects.get::<StorageClass>(&ObjectKey::cluster(class));
    let found = found.ok_or_else(|| format!("storageclass.storage.k8s.io {class:?} not found"))?;
    match &found.volume_binding_mode {
        None => Err(format!("VolumeBindingMode not set for StorageClass {class:?}")),
        Some(_) if waits_for_consumer(found) => Ok(None),
        Some(_) => Err("PersistentVolume had no name".to_owned()),
    }
}

impl Filter for VolumeZone {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(Places(places)) = state.read() else { return Ok(()) };
        let is_placed = LABELS.into_iter().any(|label| node.labels().contains_key(label));
        if !is_placed || places.iter().all(|place| place.includes(node)) {
            Ok(())
        } else {
            Err(Rejection::new("node(s) had no available volume zone").unresolvable())
        }
    }
}

impl Requeue for VolumeZone {
    fn concerns(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::NodeAdded | EventKind::NodeUpdated => true,
            EventKind::ObjectChanged(kind) => self.uses().contains(&kind),
            _ => false,
        }
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        if let ClusterEvent::NodeUpdated { old, new } = event {
            return old.labels() != new.labels();
        }
        if let Some(change) = event.change_of::<PersistentVolumeClaim>() {
            return change.new().is_some_and(|claim| is_claim_of(claim, pod));
        }
        if let Some(change) = event.change_of::<PersistentVolume>() {
            let is_elsewhere = |old: &PersistentVolume, new: &PersistentVolume| !Place::of(old).eq(Place::of(new));
            return change.new().is_some_and(|new| change.old().is_none_or(|old| is_elsewhere(old, new)));
        }
        if let Some(change) = event.change_of::<StorageClass>() {
            // When claims are bound is not changed any more once the class is there.
            return change.old().is_none() && change.new().is_some_and(|class| waits_for_consumer(class));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orchestra_core::{informer::Change, scheduler::ObjectChange};
    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    const CONFLICT: &str = "node(s) had no available volume zone";

    fn labelled(labels: Value) -> NodeInfo {
        node(json!({ "metadata": { "labels": labels } }))
    }

    fn using(claims: &[&str]) -> PodInfo {
        let volume = |name: &&str| json!({ "name": "v", "persistentVolumeClaim": { "claimName": name } });
        pod(json!({ "volumes": claims.iter().map(volume).collect::<Vec<_>>() }))
    }

    fn volume(name: &str, labels: Value) -> Arc<PersistentVolume> {
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels }, "spec": {} })).unwrap())
    }

    fn claim(name: &str, spec: Value) -> Arc<PersistentVolumeClaim> {
        let metadata = json!({ "name": name, "namespace": "default" });
        Arc::new(serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap())
    }

    fn class(name: &str, mode: Option<&str>) -> Arc<StorageClass> {
        let class = json!({ "metadata": { "name": name }, "provisioner": "p", "volumeBindingMode": mode });
        Arc::new(serde_json::from_value(class).unwrap())
    }

    /// A cluster of `node` where the claim `c` is bound to a volume with these labels.
    fn bound(node: &NodeInfo, labels: Value) -> Snapshot {
        let mut snapshot = Snapshot::from_iter([node.clone()]);
        snapshot.objects_mut().set(volume("v", labels));
        snapshot.objects_mut().set(claim("c", json!({ "volumeName": "v" })));
        snapshot
    }

    fn verdict_of(labels: Value, node: &NodeInfo) -> Option<(String, bool)> {
        verdict_in(&VolumeZone, &using(&["c"]), node, &bound(node, labels))
    }

    #[test]
    fn a_pod_goes_to_the_zone_and_region_of_its_volume() {
        let node = labelled(json!({ ZONE: "z1", REGION: "r1" }));
        let conflict = Some((CONFLICT.to_owned(), false));
        assert_eq!(verdict_of(json!({ ZONE: "z1", REGION: "r1" }), &node), None);
        assert_eq!(verdict_of(json!({ ZONE: "z2" }), &node), conflict);
        assert_eq!(verdict_of(json!({ ZONE: "z1", REGION: "r2" }), &node), conflict);
        assert_eq!(verdict_of(json!({}), &node), None);
    }

    #[test]
    fn a_volume_may_be_in_several_zones() {
        for (zones, expected) in
            [("z0__z1", true), ("z0__z2", false), ("z0__ z1 ", true), ("z0____z1", true), ("", true)]
        {
            let node = labelled(json!({ ZONE: "z1" }));
            assert_eq!(verdict_of(json!({ ZONE: zones }), &node).is_none(), expected, "{zones:?}");
        }
    }

    #[test]
    fn a_node_that_names_no_place_takes_any_volume_and_one_that_names_another_does_not() {
        assert_eq!(verdict_of(json!({ ZONE: "z1" }), &labelled(json!({ "other": "" }))), None);
        assert!(verdict_of(json!({ ZONE: "z1" }), &labelled(json!({ REGION: "r1" }))).is_some());
    }

    #[test]
    fn old_labels_of_volumes_mean_the_new_ones_of_nodes() {
        let node = labelled(json!({ ZONE: "z1", REGION: "r1" }));
        assert_eq!(verdict_of(json!({ BETA_ZONE: "z1", BETA_REGION: "r1" }), &node), None);
        assert!(verdict_of(json!({ BETA_ZONE: "z2" }), &node).is_some());
        let old = labelled(json!({ BETA_ZONE: "z1" }));
        assert_eq!(verdict_of(json!({ BETA_ZONE: "z1" }), &old), None);
        assert!(verdict_of(json!({ ZONE: "z1" }), &old).is_some(), "not the other way round");
    }

    #[test]
    fn what_is_missing_keeps_the_pod_back_in_kubernetes_words() {
        let node = labelled(json!({ ZONE: "z1" }));
        let mut snapshot = Snapshot::from_iter([node.clone()]);
        for (name, spec) in [
            ("gone", json!({ "volumeName": "w" })),
            ("bare", json!({})),
            ("unclassed", json!({ "storageClassName": "absent" })),
            ("odd", json!({ "storageClassName": "modeless" })),
            ("immediate", json!({ "storageClassName": "now" })),
            ("waiting", json!({ "storageClassName": "later" })),
        ] {
            snapshot.objects_mut().set(claim(name, spec));
        }
        for class in
            [class("modeless", None), class("now", Some("Immediate")), class("later", Some("WaitForFirstConsumer"))]
        {
            snapshot.objects_mut().set(class);
        }
        for (name, why) in [
            ("absent", r#"persistentvolumeclaim "absent" not found"#),
            ("", "PersistentVolumeClaim had no name"),
            ("gone", r#"persistentvolume "w" not found"#),
            ("bare", "PersistentVolumeClaim had no pv name and storageClass name"),
            ("unclassed", r#"storageclass.storage.k8s.io "absent" not found"#),
            ("odd", r#"VolumeBindingMode not set for StorageClass "modeless""#),
            ("immediate", "PersistentVolume had no name"),
        ] {
            assert_eq!(verdict_in(&VolumeZone, &using(&[name]), &node, &snapshot), Some((why.to_owned(), false)));
        }
        assert_eq!(verdict_in(&VolumeZone, &using(&["waiting"]), &node, &snapshot), None);
        assert_eq!(verdict_in(&VolumeZone, &using(&[]), &node, &snapshot), None);
    }

    #[test]
    fn only_what_may_change_the_place_is_worth_another_attempt() {
        let pod = using(&["c"]);
        let helps = |event: ClusterEvent| VolumeZone.concerns(event.kind()) && VolumeZone.may_help(&event, &pod);
        let changed = |change: ObjectChange| ClusterEvent::ObjectChanged(change);
        assert!(helps(changed(Change::Added(claim("c", json!({}))).into())));
        assert!(!helps(changed(Change::Added(claim("d", json!({}))).into())));
        let (here, there) = (volume("v", json!({ ZONE: "z1" })), volume("v", json!({ ZONE: "z2" })));
        assert!(helps(changed(Change::Added(here.clone()).into())));
        assert!(helps(changed(Change::Updated { old: here.clone(), new: there }.into())));
        assert!(!helps(changed(Change::Updated { old: here.clone(), new: here }.into())));
        assert!(helps(changed(Change::Added(class("s", Some("WaitForFirstConsumer"))).into())));
        assert!(!helps(changed(Change::Added(class("s", Some("Immediate"))).into())));
        let (old, new) = (Arc::new(labelled(json!({}))), Arc::new(labelled(json!({ ZONE: "z1" }))));
        assert!(helps(ClusterEvent::NodeAdded(new.clone())));
        assert!(helps(ClusterEvent::NodeUpdated { old: old.clone(), new }));
        assert!(!helps(ClusterEvent::NodeUpdated { old: old.clone(), new: old }));
        assert!(!helps(ClusterEvent::PodReleased(Arc::new(using(&["c"])))));
    }
}
