use serde_json::json;

use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn volume(spec: Value) -> PersistentVolume {
    let mut volume = object(json!({"metadata": {"name": "v"}, "spec": spec}));
    PersistentVolumes.default(&mut volume);
    volume
}

fn hosted() -> Value {
    json!({"capacity": {"storage": "1024Mi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "hostPath": {"path": "/data"},
        "claimRef": {"namespace": "default", "name": "c"}, "storageClassName": "slow"})
}

fn local(key: &str) -> Value {
    let term = json!({"matchExpressions": [{"key": key, "operator": "In", "values": ["a"]}]});
    json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "local": {"path": "/disk"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}})
}

#[test]
fn a_new_volume_is_pending_and_to_be_kept() {
    let mut volume = volume(hosted());
    PersistentVolumes.prepare_for_create(&context(), &mut volume);
    let value = serde_json::to_value(&volume).unwrap();
    assert_eq!(value["status"], json!({"phase": "Pending", "lastPhaseTransitionTime": "1970-01-01T00:00:00Z"}));
    assert_eq!(value["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(value["spec"]["hostPath"], json!({"path": "/data", "type": ""}));
    let cells = PersistentVolumes.cells(&volume, Timestamp::UNIX_EPOCH);
    let expected = json!([
        "v",
        "1Gi",
        "RWO,RWX",
        "Retain",
        "Pending",
        "default/c",
        "slow",
        "<unset>",
        "",
        "<unknown>",
        "Filesystem"
    ]);
    assert_eq!(json!(cells), expected);
}

#[test]
fn a_volume_says_how_large_it_is_and_what_it_is() {
    let found = |spec: Value| texts(&PersistentVolumes.validate(&context(), &volume(spec)));
    assert!(found(hosted()).is_empty());
    assert!(found(local("kubernetes.io/hostname")).is_empty());
    assert_eq!(
        found(json!({})),
        [
            "spec.accessModes: Required value",
            "spec.capacity: Required value",
            r#"spec.capacity: Unsupported value: null: supported values: "storage""#,
            "spec: Required value: must specify a volume type",
        ]
    );
    let wrong = json!({"capacity": {"storage": "0"}, "accessModes": ["ReadWriteOncePod", "ReadOnlyMany", "Always"],
        "persistentVolumeReclaimPolicy": "Forget", "volumeMode": "Tape", "hostPath": {"path": "/a/../b"}, "local": {"path": "/a"},
        "nodeAffinity": {}, "storageClassName": "A"});
    assert_eq!(
        found(wrong)[..8],
        [
            r#"spec.accessModes: Unsupported value: "Always": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod""#,
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            r#"spec.capacity[storage]: Invalid value: "0": must be greater than zero"#,
            r#"spec.persistentVolumeReclaimPolicy: Unsupported value: "Forget": supported values: "Delete", "Recycle", "Retain""#,
            "spec.nodeAffinity.required: Required value: must specify required node constraints",
            r#"spec.hostPath.path: Invalid value: "/a/../b": must not contain '..'"#,
            "spec.local: Forbidden: may not specify more than 1 volume type",
            r#"spec.storageClassName: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#,
        ]
    );
    let mut unbound = local("zone");
    unbound.as_object_mut().unwrap().remove("nodeAffinity");
    assert_eq!(found(unbound), ["spec.nodeAffinity: Required value: Local volume requires node affinity"]);
    let mut whole = hosted();
    whole["hostPath"]["path"] = json!("//.");
    whole["persistentVolumeReclaimPolicy"] = json!("Recycle");
    assert_eq!(
        found(whole),
        ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]
    );
}

#[test]
fn what_a_volume_is_made_of_does_not_change() {
    let old = volume(hosted());
    let mut new = old.clone();
    let spec = new.spec.as_mut().unwrap();
    spec.host_path.as_mut().unwrap().path = "/other".to_owned();
    spec.volume_mode = Some("Block".to_owned());
    spec.persistent_volume_reclaim_policy = Some("Delete".to_owned());
    let found = texts(&PersistentVolumes.validate_update(&context(), &new, &old));
    assert!(found[0].starts_with(
        "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@ "
    ));
    assert!(found[0].contains("-  \"Path\": \"/data\",\n+  \"Path\": \"/other\","), "{}", found[0]);
    assert_eq!(found[1..], [r#"volumeMode: Invalid value: "Block": field is immutable"#]);
}

#[test]
fn the_nodes_of_a_volume_change_by_the_name_of_a_label_alone() {
    let (old, renamed) = (volume(local("beta.kubernetes.io/os")), volume(local("kubernetes.io/os")));
    assert!(PersistentVolumes.validate_update(&context(), &renamed, &old).is_empty());
    let found = texts(&PersistentVolumes.validate_update(&context(), &old, &renamed));
    assert!(found[0].starts_with("nodeAffinity: Invalid value: "), "{found:?}");
    assert!(found[0].ends_with(": field is immutable, except for updating from beta label to GA"), "{found:?}");
}

#[test]
fn a_status_update_notes_when_the_phase_changed() {
    let old = volume(hosted());
    let mut new = old.clone();
    new.spec = None;
    new.status.as_mut().unwrap().phase = Some("Available".to_owned());
    PersistentVolumes.prepare_for_status_update(&context(), &mut new, &old);
    assert_eq!(new.spec, old.spec);
    assert_eq!(new.status.unwrap().last_phase_transition_time, Some(Time(Timestamp::UNIX_EPOCH)));
}
