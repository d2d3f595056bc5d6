use std::sync::Arc;

use orchestra_core::informer::Change;
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{super::testing::*, *};

fn mounting(volume: Value) -> PodInfo {
    let mut volume = volume;
    merge(&mut volume, json!({ "name": "v" }));
    pod(json!({ "volumes": [volume] }))
}

fn using(claim: &str) -> PodInfo {
    mounting(json!({ "persistentVolumeClaim": { "claimName": claim } }))
}

fn with_pods(pods: &[&PodInfo]) -> NodeInfo {
    let mut node = node(json!({}));
    for pod in pods {
        node.add_pod(Arc::new((*pod).clone()));
    }
    node
}

fn claim(name: &str, mode: &str) -> Arc<PersistentVolumeClaim> {
    let metadata = json!({ "name": name, "namespace": "default" });
    Arc::new(serde_json::from_value(json!({ "metadata": metadata, "spec": { "accessModes": [mode] } })).unwrap())
}

/// Whether a pod with the second volume can go where one with the first is.
fn share(first: Value, second: Value) -> bool {
    let verdict = verdict(&VolumeRestrictions::default(), &mounting(second), &with_pods(&[&mounting(first)]));
    assert!(verdict.iter().all(|why| *why == ("node(s) had no available disk".to_owned(), true)));
    verdict.is_none()
}

#[test]
fn a_gce_disk_is_mounted_once_unless_all_only_read() {
    let disk = |name: &str, read_only: bool| json!({ "gcePersistentDisk": { "pdName": name, "readOnly": read_only } });
    assert!(!share(disk("a", false), disk("a", false)));
    assert!(!share(disk("a", true), disk("a", false)) && !share(disk("a", false), disk("a", true)));
    assert!(share(disk("a", true), disk("a", true)) && share(disk("a", false), disk("b", false)));
}

#[test]
fn an_ebs_disk_is_mounted_once_even_if_all_only_read() {
    let disk = |id: &str| json!({ "awsElasticBlockStore": { "volumeID": id, "readOnly": true } });
    assert!(!share(disk("a"), disk("a")));
    assert!(share(disk("a"), disk("b")));
}

#[test]
fn an_iscsi_target_is_mounted_once_unless_all_only_read() {
    let disk = |iqn: &str, read_only: bool| json!({ "iscsi": { "targetPortal": "10.0.0.1", "iqn": iqn, "lun": 0, "readOnly": read_only } });
    assert!(!share(disk("a", false), disk("a", true)));
    assert!(share(disk("a", true), disk("a", true)) && share(disk("a", false), disk("b", false)));
}

#[test]
fn an_rbd_image_is_mounted_once_unless_all_only_read() {
    let disk = |monitors: &[&str], pool: &str, image: &str, read_only: bool| json!({ "rbd": { "monitors": monitors, "pool": pool, "image": image, "readOnly": read_only } });
    let first = disk(&["a", "b"], "p", "i", false);
    assert!(!share(first.clone(), disk(&["b", "c"], "p", "i", true)));
    assert!(share(first.clone(), disk(&["c"], "p", "i", false)), "another cluster");
    assert!(share(first.clone(), disk(&["a"], "q", "i", false)), "another pool");
    assert!(share(first, disk(&["a"], "p", "j", false)), "another image");
    assert!(share(disk(&["a"], "p", "i", true), disk(&["a"], "p", "i", true)));
}

#[test]
fn disks_of_different_kinds_and_other_volumes_do_not_conflict() {
    assert!(share(
        json!({ "gcePersistentDisk": { "pdName": "a" } }),
        json!({ "awsElasticBlockStore": { "volumeID": "a" } })
    ));
    assert!(share(json!({ "emptyDir": {} }), json!({ "emptyDir": {} })));
}

/// A cluster of two nodes: on the first is a pod that uses the claim `one`, which one pod may use.
fn in_use() -> (Snapshot, Arc<PodInfo>) {
    let user = Arc::new(using("one"));
    let mut other = node(json!({}));
    other.add_pod(user.clone());
    let mut snapshot = Snapshot::from_iter([other, node(json!({ "metadata": { "name": "n2" } }))]);
    snapshot.objects_mut().set(claim("one", "ReadWriteOncePod"));
    snapshot.objects_mut().set(claim("many", "ReadWriteOnce"));
    (snapshot, user)
}

fn wanting(claim: &str, namespace: &str) -> PodInfo {
    in_namespace(namespace, &using(claim))
}

/// Another pod like this one.
fn in_namespace(namespace: &str, pod: &PodInfo) -> PodInfo {
    let mut pod = (**pod.pod()).clone();
    pod.metadata.uid = Some("new".to_owned());
    pod.metadata.namespace = Some(namespace.to_owned());
    pod.into()
}

#[test]
fn a_claim_of_one_pod_is_not_used_by_a_second_on_any_node() {
    let (snapshot, _) = in_use();
    let plugin = VolumeRestrictions::default();
    for node in snapshot.iter() {
        let expected = Some((CLAIM_IN_USE.to_owned(), true));
        assert_eq!(verdict_in(&plugin, &wanting("one", "default"), node, &snapshot), expected);
        assert_eq!(verdict_in(&plugin, &wanting("many", "default"), node, &snapshot), None);
    }
}

#[test]
fn claims_of_the_same_name_in_other_namespaces_are_others() {
    let (mut snapshot, _) = in_use();
    let mut elsewhere = (*claim("one", "ReadWriteOncePod")).clone();
    elsewhere.metadata.namespace = Some("other".to_owned());
    snapshot.objects_mut().set(Arc::new(elsewhere));
    let n1 = snapshot.get("n1").unwrap();
    assert_eq!(verdict_in(&VolumeRestrictions::default(), &wanting("one", "other"), n1, &snapshot), None);
}

#[test]
fn a_claim_is_free_when_its_pod_has_gone() {
    let (mut snapshot, user) = in_use();
    let (plugin, wanting) = (VolumeRestrictions::default(), wanting("one", "default"));
    assert!(verdict_in(&plugin, &wanting, &snapshot.get("n2").unwrap().clone(), &snapshot).is_some());
    snapshot.update("n1", |node| node.remove_pod(user.id()));
    assert_eq!(verdict_in(&plugin, &wanting, &snapshot.get("n2").unwrap().clone(), &snapshot), None);
}

#[test]
fn preemption_of_the_pod_that_uses_the_claim_helps_on_every_node() {
    let (snapshot, user) = in_use();
    let (plugin, wanting) = (VolumeRestrictions::default(), wanting("one", "default"));
    let (mut state, n1) = (CycleState::default(), snapshot.get("n1").unwrap());
    assert_eq!(plugin.pre_filter(&mut state, &wanting, &snapshot), PreFilterOutcome::Continue);
    plugin.remove_pod(&mut state, &wanting, &user, n1);
    assert_eq!(plugin.filter(&state, &wanting, n1), Ok(()));
    plugin.add_pod(&mut state, &wanting, &user, n1);
    assert!(plugin.filter(&state, &wanting, n1).is_err());
    plugin.remove_pod(&mut state, &wanting, &using("many"), n1);
    assert!(plugin.filter(&state, &wanting, n1).is_err(), "that pod was not in the way");
}

#[test]
fn a_claim_that_is_not_there_keeps_the_pod_back() {
    let expected = Some((r#"persistentvolumeclaim "absent" not found"#.to_owned(), false));
    assert_eq!(verdict(&VolumeRestrictions::default(), &using("absent"), &node(json!({}))), expected);
}

#[test]
fn only_what_frees_the_disk_or_brings_the_claim_is_worth_another_attempt() {
    let plugin = VolumeRestrictions::default();
    let released = |gone: PodInfo| ClusterEvent::PodReleased(Arc::new(gone));
    let disk = |name: &str| mounting(json!({ "gcePersistentDisk": { "pdName": name } }));
    assert!(plugin.may_help(&released(disk("a")), &disk("a")));
    assert!(!plugin.may_help(&released(disk("b")), &disk("a")));
    let elsewhere = in_namespace("other", &disk("a"));
    assert!(plugin.may_help(&released(elsewhere), &disk("a")), "disks are the same in all namespaces");
    assert!(plugin.may_help(&released(using("one")), &using("one")));
    assert!(!plugin.may_help(&released(using("two")), &using("one")));
    assert!(!plugin.may_help(&released(wanting("one", "other")), &using("one")));
    let added = |name: &str| ClusterEvent::ObjectChanged(Change::Added(claim(name, "ReadWriteOncePod")).into());
    assert!(plugin.may_help(&added("one"), &using("one")) && !plugin.may_help(&added("two"), &using("one")));
    let one = claim("one", "ReadWriteOncePod");
    let updated = ClusterEvent::ObjectChanged(Change::Updated { old: one.clone(), new: one }.into());
    assert!(!plugin.may_help(&updated, &using("one")), "access modes do not change");
    assert!(plugin.concerns(EventKind::NodeAdded) && !plugin.concerns(EventKind::NodeUpdated));
}

proptest! {
    /// A plugin that remembers tells the same as one that sees the cluster for the first time, whatever happened in between.
    #[test]
    fn what_is_remembered_changes_no_verdict(steps in vec((0..4_usize, 0..5_usize, 0..3_usize), 1..60)) {
        let remembering = VolumeRestrictions::default();
        let mut snapshot = Snapshot::default();
        let mut placed: Vec<(String, Arc<str>)> = Vec::new();
        for name in 0..3 {
            snapshot.objects_mut().set(claim(&format!("c{name}"), "ReadWriteOncePod"));
        }
        for (round, (number, what, wanted)) in steps.into_iter().enumerate() {
            let (name, wanted) = (format!("n{number}"), format!("c{wanted}"));
            match what {
                0 => drop(snapshot.remove(&name)),
                1 => snapshot.insert(node(json!({ "metadata": { "name": name } }))),
                2 if !placed.is_empty() => {
                    let (node, id) = placed.swap_remove(round % placed.len());
                    snapshot.update(&node, |info| info.remove_pod(&id));
                }
                _ => {
                    let mut pod = (**using(&wanted).pod()).clone();
                    pod.metadata.uid = Some(format!("u{round}"));
                    let pod = Arc::new(PodInfo::from(pod));
                    placed.push((name.clone(), pod.id().clone()));
                    snapshot.update(&name, |info| info.add_pod(pod));
                }
            }
            for claim in ["c0", "c1", "c2"] {
                let pod = wanting(claim, "default");
                let is_used = snapshot.iter().flat_map(|node| node.pods()).any(|pod| named_claims(pod).any(|name| name == claim));
                for node in snapshot.iter() {
                    prop_assert_eq!(verdict_in(&remembering, &pod, node, &snapshot).is_some(), is_used, "round {}", round);
                }
            }
        }
    }
}
