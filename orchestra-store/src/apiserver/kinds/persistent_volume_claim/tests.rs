use serde_json::json;

use super::*;
use crate::apiserver::kinds::testing::{context, object, texts};

fn claim(changes: Value) -> PersistentVolumeClaim {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    let mut claim = object(json!({"metadata": {"name": "c"}, "spec": spec}));
    PersistentVolumeClaims.default(&mut claim);
    claim
}

fn changed(old: &PersistentVolumeClaim, new: &PersistentVolumeClaim) -> Vec<String> {
    texts(&PersistentVolumeClaims.validate_update(&context(), new, old))
}

#[test]
fn a_claim_shows_what_it_has_once_it_has_a_volume() {
    let mut claim = claim(json!({"storageClassName": "slow"}));
    claim.status = object(json!({"phase": "Bound", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"]}));
    let cells = |claim: &PersistentVolumeClaim| json!(PersistentVolumeClaims.cells(claim, Timestamp::UNIX_EPOCH));
    let expected = json!(["c", "Bound", "", "", "", "slow", "<unset>", "<unknown>", "Filesystem"]);
    assert_eq!(cells(&claim), expected);
    claim.spec.as_mut().unwrap().volume_name = Some("v".to_owned());
    let expected = json!(["c", "Bound", "v", "2Gi", "RWO", "slow", "<unset>", "<unknown>", "Filesystem"]);
    assert_eq!(cells(&claim), expected);
    PersistentVolumeClaims.prepare_for_create(&context(), &mut claim);
    assert_eq!(json!(claim.status), json!({"phase": "Pending"}));
}

#[test]
fn a_claim_says_what_it_wants() {
    let found = |claim: PersistentVolumeClaim| texts(&PersistentVolumeClaims.validate(&context(), &claim));
    assert!(found(claim(json!({}))).is_empty());
    assert_eq!(
        found(PersistentVolumeClaim::default()),
        [
            "spec.accessModes: Required value: at least 1 access mode is required",
            "spec.resources[storage]: Required value",
        ]
    );
    let wrong = claim(json!({"resources": {"requests": {"storage": "-1"}}, "dataSource": {"kind": "Pod", "name": "p"},
        "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "p"}}));
    assert_eq!(
        found(wrong),
        [
            r#"spec.resources[storage]: Invalid value: "-1": must be greater than zero"#,
            r#"spec.dataSource: Invalid value: "Pod": must be 'PersistentVolumeClaim' when referencing the default apiGroup"#,
            r#"spec: Invalid value: "spec.dataSource": must match dataSourceRef"#,
        ]
    );
}

#[test]
fn a_claim_gets_its_volume_and_its_class_once() {
    let old = claim(json!({}));
    let mut new = claim(json!({"volumeName": "v", "storageClassName": "slow"}));
    assert!(changed(&old, &new).is_empty());
    let other = claim(json!({"volumeName": "w", "storageClassName": "slow"}));
    let found = changed(&new, &other);
    let head = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n@@ ";
    assert!(found[0].starts_with(head), "{found:?}");
    assert!(found[0].contains("- \"VolumeName\": \"v\",\n+ \"VolumeName\": \"w\","), "{found:?}");
    new.metadata.annotations = Some([("volume.beta.kubernetes.io/storage-class".to_owned(), "fast".to_owned())].into());
    assert_eq!(
        changed(&old, &new),
        [r#"metadata.annotations[volume.beta.kubernetes.io/storage-class]: Invalid value: "fast": field is immutable"#]
    );
}

#[test]
fn a_bound_claim_may_grow_and_shrink_to_more_than_it_has() {
    let sized = |size: &str| {
        let mut claim = claim(json!({"volumeName": "v", "resources": {"requests": {"storage": size}}}));
        claim.status = object(json!({"phase": "Bound", "capacity": {"storage": "2Gi"}}));
        claim
    };
    assert!(changed(&sized("2Gi"), &sized("5Gi")).is_empty());
    assert!(changed(&sized("5Gi"), &sized("3Gi")).is_empty());
    assert_eq!(
        changed(&sized("5Gi"), &sized("1Gi")),
        ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    );
    let pending = |size| claim(json!({"resources": {"requests": {"storage": size}}}));
    assert_eq!(changed(&pending("1Gi"), &pending("2Gi")).len(), 1);
}

#[test]
fn the_two_fields_for_a_source_agree() {
    let older = || claim(json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "p"}}));
    let mut new = older();
    PersistentVolumeClaims.prepare_for_create(&context(), &mut new);
    assert_eq!(new.spec.as_ref().unwrap().data_source_ref.as_ref().unwrap().name, "p");
    // Who knows the older field only may write what is there again.
    let mut again = older();
    PersistentVolumeClaims.prepare_for_update(&context(), &mut again, &new);
    assert_eq!(changed(&new, &again), [""; 0]);
    let books = || claim(json!({"dataSource": {"apiGroup": "example.org", "kind": "Book", "name": "b"}}));
    let (mut unknown, mut again) = (books(), books());
    PersistentVolumeClaims.prepare_for_create(&context(), &mut unknown);
    assert!(unknown.spec.as_ref().unwrap().data_source.is_none());
    PersistentVolumeClaims.prepare_for_update(&context(), &mut again, &unknown);
    assert_eq!(changed(&unknown, &again), [""; 0]);
}
