use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

fn claim(spec: Value) -> PersistentVolumeClaim {
    let mut whole = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"namespace": "default", "name": "c", "uid": "u"});
    serde_json::from_value(json!({"metadata": metadata, "spec": whole})).unwrap()
}

fn volume(name: &str, spec: Value) -> Arc<PersistentVolume> {
    let mut whole = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "2Gi"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let metadata = json!({"name": name, "labels": {"disk": name}});
    Arc::new(
        serde_json::from_value(json!({"metadata": metadata, "spec": whole, "status": {"phase": "Available"}})).unwrap(),
    )
}

fn on_node(name: &str) -> Value {
    let field = json!({"key": "metadata.name", "operator": "In", "values": [name]});
    json!({"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchFields": [field]}]}}})
}

fn best(claim: &PersistentVolumeClaim, volumes: &[Arc<PersistentVolume>]) -> Option<String> {
    Wanted::by(claim).best_of(volumes, false).and_then(|volume| volume.metadata.name.clone())
}

#[test]
fn a_claim_gets_the_smallest_volume_that_is_just_right() {
    let modes = json!({"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]});
    let volumes = [
        volume("small", json!({"capacity": {"storage": "1Gi"}})),
        volume("many-ways", modes),
        volume("large", json!({"capacity": {"storage": "9Gi"}})),
        volume("right", json!({"capacity": {"storage": "3Gi"}})),
        volume("classy", json!({"storageClassName": "fast"})),
        volume("device", json!({"volumeMode": "Block"})),
        volume("taken", json!({"claimRef": {"namespace": "default", "name": "other"}})),
    ];
    assert_eq!(best(&claim(json!({})), &volumes).as_deref(), Some("right"));
    assert_eq!(best(&claim(json!({"accessModes": ["ReadOnlyMany"]})), &volumes).as_deref(), Some("many-ways"));
    assert_eq!(best(&claim(json!({"storageClassName": "fast"})), &volumes).as_deref(), Some("classy"));
    assert_eq!(best(&claim(json!({"volumeMode": "Block"})), &volumes).as_deref(), Some("device"));
    assert_eq!(
        best(&claim(json!({"selector": {"matchLabels": {"disk": "large"}}})), &volumes).as_deref(),
        Some("large")
    );
    assert_eq!(best(&claim(json!({"accessModes": ["ReadWriteMany"]})), &volumes), None);
}

#[test]
fn a_volume_that_is_kept_for_the_claim_comes_first_also_while_it_waits() {
    let kept = json!({"capacity": {"storage": "9Gi"}, "claimRef": {"namespace": "default", "name": "c"}});
    let volumes = [volume("free", json!({})), volume("kept", kept)];
    assert_eq!(best(&claim(json!({})), &volumes).as_deref(), Some("kept"));
    let waiting = claim(json!({}));
    assert_eq!(Wanted::by(&waiting).best_of(&volumes, true), Some(&volumes[1]));
    assert_eq!(Wanted::by(&waiting).best_of(&volumes[..1], true), None);
}

#[test]
fn candidates_are_the_kept_one_or_the_free_ones_by_size() {
    let owner = |name: &str| json!({"claimRef": {"namespace": "default", "name": name}});
    let volumes = [
        volume("large", json!({"capacity": {"storage": "9Gi"}})),
        volume("others", owner("other")),
        volume("fitting", json!({})),
        volume("small", json!({"capacity": {"storage": "1Gi"}})),
        volume("kept", owner("c")),
    ];
    let claim = claim(json!({}));
    let names = |volumes: &[Arc<PersistentVolume>]| -> Vec<String> {
        let candidates = Wanted::by(&claim).candidates(volumes.iter());
        candidates.iter().filter_map(|volume| volume.metadata.name.clone()).collect()
    };
    assert_eq!(names(&volumes[..4]), ["fitting", "large"]);
    assert_eq!(names(&volumes), ["kept"]);
}

#[test]
fn a_volume_is_reached_by_the_nodes_of_its_affinity() {
    let labels = BTreeMap::new();
    let (here, anywhere) = (volume("here", on_node("n1")), volume("anywhere", json!({})));
    assert!(reaches(&here, "n1", &labels) && !reaches(&here, "n2", &labels) && reaches(&anywhere, "n3", &labels));
}

#[test]
fn a_volume_is_reserved_once_and_says_who_did_it() {
    let claim = claim(json!({}));
    let reserved = reserve(&volume("v", json!({})), &claim).unwrap();
    assert!(is_for(&reserved, &claim) && is_annotated(&reserved.metadata, BOUND_BY_CONTROLLER));
    assert_eq!(reserve(&reserved, &claim), None);
    let by_user = volume("v", json!({"claimRef": {"namespace": "default", "name": "c"}}));
    let completed = reserve(&by_user, &claim).unwrap();
    assert_eq!(completed.spec.unwrap().claim_ref.unwrap().uid.as_deref(), Some("u"));
    assert!(!is_annotated(&completed.metadata, BOUND_BY_CONTROLLER));
}

#[test]
fn mismatches_are_told_apart() {
    let claim = claim(json!({"storageClassName": "fast"}));
    let check = |spec| Wanted::by(&claim).check(&volume("v", spec)).unwrap_err().to_string();
    assert_eq!(check(json!({"capacity": {"storage": "1Gi"}})), "requested PV is too small");
    assert_eq!(check(json!({})), "storageClassName does not match");
    assert_eq!(check(json!({"storageClassName": "fast", "volumeMode": "Block"})), "incompatible volumeMode");
    assert_eq!(check(json!({"storageClassName": "fast", "accessModes": []})), "incompatible accessMode");
}

#[test]
fn pods_use_claims_by_name_and_from_templates() {
    let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"containers": [], "volumes": [
        {"name": "a", "persistentVolumeClaim": {"claimName": "c"}}, {"name": "b", "ephemeral": {}}, {"name": "d", "emptyDir": {}}]}}))
    .unwrap();
    let used: Vec<_> = uses(&pod).map(|used| (used.volume.to_owned(), used.claim, used.is_ephemeral)).collect();
    assert_eq!(used, [("a".to_owned(), "c".to_owned(), false), ("b".to_owned(), "p-b".to_owned(), true)]);
}
