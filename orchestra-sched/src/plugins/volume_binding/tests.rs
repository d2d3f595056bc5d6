use orchestra_core::informer::Change;
use serde_json::{Value, json};

use super::{super::testing::*, *};
use crate::framework::Framework;

/// What there is beside the pod, in namespace `default`.
#[derive(Default)]
struct World {
    snapshot: Snapshot,
}

impl World {
    fn node(mut self, name: &str) -> Self {
        self.snapshot.insert(node(json!({ "metadata": { "name": name, "labels": { "zone": name } } })));
        self
    }

    fn claim(mut self, name: &str, spec: Value, changes: Value) -> Self {
        let mut claim = json!({
            "metadata": { "name": name, "namespace": "default", "uid": name },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        merge(&mut claim["spec"], spec);
        merge(&mut claim, changes);
        self.snapshot.objects_mut().set::<PersistentVolumeClaim>(Arc::new(serde_json::from_value(claim).unwrap()));
        self
    }

    fn bound(self, name: &str, volume: &str) -> Self {
        let done = json!({ "metadata": { "annotations": { "pv.kubernetes.io/bind-completed": "yes" } } });
        self.claim(name, json!({ "volumeName": volume }), done)
    }

    /// A volume of class `local` that `node` reaches.
    fn volume(mut self, name: &str, size: &str, node: &str) -> Self {
        let field = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
        let affinity = json!({ "required": { "nodeSelectorTerms": [{ "matchFields": [field] }] } });
        let volume = json!({
            "metadata": { "name": name }, "status": { "phase": "Available" },
            "spec": { "capacity": { "storage": size }, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                      "nodeAffinity": affinity },
        });
        self.snapshot.objects_mut().set::<PersistentVolume>(Arc::new(serde_json::from_value(volume).unwrap()));
        self
    }

    fn class(mut self, name: &str, provisioner: &str, zones: &[&str]) -> Self {
        let terms = json!([{ "matchLabelExpressions": [{ "key": "zone", "values": zones }] }]);
        let class = json!({ "metadata": { "name": name }, "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer", "allowedTopologies": (!zones.is_empty()).then_some(terms) });
        self.snapshot.objects_mut().set::<StorageClass>(Arc::new(serde_json::from_value(class).unwrap()));
        self
    }

    /// Where a pod with these claims goes, and with which volumes; else why it goes nowhere, up to the first full stop.
    fn place(&self, claims: &[&str]) -> Result<(String, Vec<VolumeChoice>), String> {
        use orchestra_core::scheduler::Scheduler;
        let scheduler = Framework::builder().plugin(VolumeBinding::default()).build();
        match scheduler.schedule(&using(claims), &self.snapshot, 0) {
            Ok(placement) => Ok((placement.node.to_string(), placement.volumes)),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn using(claims: &[&str]) -> PodInfo {
    let volume = |name: &&str| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
    pod(json!({ "volumes": claims.iter().map(volume).collect::<Vec<_>>() }))
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::namespaced("default", name)
}

fn bind(claim: &str, volume: &str) -> VolumeChoice {
    VolumeChoice::Bind { claim: key(claim), volume: volume.to_owned() }
}

#[test]
fn a_pod_without_claims_goes_anywhere() {
    assert_eq!(World::default().node("n1").place(&[]), Ok(("n1".to_owned(), Vec::new())));
}

#[test]
fn claims_that_cannot_be_used_keep_the_pod_back() {
    let lost = json!({ "status": { "phase": "Lost" } });
    let leaving = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    let world = World::default()
        .node("n1")
        .claim("pending", json!({}), json!({}))
        .claim("lost", json!({ "volumeName": "v" }), lost)
        .claim("leaving", json!({}), leaving);
    for (claim, why) in [
        ("absent", r#"persistentvolumeclaim "absent" not found"#),
        ("pending", "pod has unbound immediate PersistentVolumeClaims"),
        ("lost", r#"persistentvolumeclaim "lost" bound to non-existent persistentvolume "v""#),
        ("leaving", r#"persistentvolumeclaim "leaving" is being deleted"#),
    ] {
        assert_eq!(world.place(&[claim]), Err(format!("0/1 nodes are available: {why}.")));
    }
}

#[test]
fn a_pod_follows_its_volumes() {
    let world = World::default().node("n1").node("n2").volume("v", "1Gi", "n2").bound("c", "v").bound("gone", "w");
    assert_eq!(world.place(&["c"]), Ok(("n2".to_owned(), Vec::new())));
    let why = "2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
    assert_eq!(world.place(&["gone"]), Err(format!("0/2 nodes are available: {why}.")));
    let world = world.volume("u", "1Gi", "n1").bound("d", "u");
    let why = "2 node(s) didn't match PersistentVolume's node affinity";
    assert_eq!(world.place(&["c", "d"]), Err(format!("0/2 nodes are available: {why}.")));
}

#[test]
fn waiting_claims_get_the_smallest_volumes_of_one_node() {
    let local = json!({ "storageClassName": "local" });
    let large = json!({ "storageClassName": "local", "resources": { "requests": { "storage": "4Gi" } } });
    let world = World::default()
        .node("n1")
        .node("n2")
        .class("local", NO_PROVISIONER, &[])
        .volume("n1-a", "2Gi", "n1")
        .volume("n2-a", "9Gi", "n2")
        .volume("n2-b", "5Gi", "n2")
        .claim("small", local.clone(), json!({}))
        .claim("large", large, json!({}))
        .claim("other", local, json!({}));
    // The small claim is served first, so that it takes no more than it has to.
    let expected = Ok(("n2".to_owned(), vec![bind("small", "n2-b"), bind("large", "n2-a")]));
    assert_eq!(world.place(&["large", "small"]), expected);
    let why = "2 node(s) didn't find available persistent volumes to bind";
    assert_eq!(world.place(&["large", "small", "other"]), Err(format!("0/2 nodes are available: {why}.")));
}

#[test]
fn volumes_are_provisioned_where_the_class_allows() {
    let fast = json!({ "storageClassName": "fast" });
    let selected = json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": "n1" } } });
    let world = World::default()
        .node("n1")
        .node("n2")
        .class("fast", "example.org/disks", &["n2"])
        .claim("c", fast.clone(), json!({}))
        .claim("chosen", fast, selected);
    assert_eq!(world.place(&["c"]), Ok(("n2".to_owned(), vec![VolumeChoice::Provision { claim: key("c") }])));
    let why = "2 node(s) didn't find available persistent volumes to bind";
    assert_eq!(world.place(&["chosen"]), Err(format!("0/2 nodes are available: {why}.")));
}

#[test]
fn a_claim_that_a_pod_uses_twice_gets_one_volume() {
    let world = World::default()
        .node("n1")
        .class("local", NO_PROVISIONER, &[])
        .volume("a", "1Gi", "n1")
        .volume("b", "1Gi", "n1")
        .claim("c", json!({ "storageClassName": "local" }), json!({}));
    assert_eq!(world.place(&["c", "c"]), Ok(("n1".to_owned(), vec![bind("c", "a")])));
}

#[test]
fn a_pod_goes_where_the_volume_is_that_is_kept_for_it() {
    let mut world = World::default()
        .node("n1")
        .node("n2")
        .class("local", NO_PROVISIONER, &[])
        .volume("free", "1Gi", "n1")
        .volume("kept", "9Gi", "n2")
        .claim("c", json!({ "storageClassName": "local" }), json!({}));
    let mut kept = (**world.snapshot.objects().get::<PersistentVolume>(&ObjectKey::cluster("kept")).unwrap()).clone();
    let owner = json!({ "name": "c", "namespace": "default", "uid": "c" });
    kept.spec.get_or_insert_default().claim_ref = Some(serde_json::from_value(owner).unwrap());
    world.snapshot.objects_mut().set(Arc::new(kept));
    assert_eq!(world.place(&["c"]), Ok(("n2".to_owned(), vec![bind("c", "kept")])));
}

#[test]
fn a_claim_of_the_pods_wakes_it_and_others_do_not() {
    let claim = |name: &str| {
        let metadata = json!({ "name": name, "namespace": "default" });
        let claim: PersistentVolumeClaim = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        ClusterEvent::ObjectChanged(Change::Added(Arc::new(claim)).into())
    };
    let volume = |owner: Option<&str>| {
        let owner = owner.map(|name| json!({ "name": name, "namespace": "default" }));
        let volume = json!({ "metadata": { "name": "v" }, "spec": { "claimRef": owner } });
        let volume: PersistentVolume = serde_json::from_value(volume).unwrap();
        ClusterEvent::ObjectChanged(Change::Added(Arc::new(volume)).into())
    };
    let pod = using(&["c"]);
    assert!(
        VolumeBinding::default().may_help(&volume(None), &pod)
            && VolumeBinding::default().may_help(&volume(Some("c")), &pod)
    );
    assert!(!VolumeBinding::default().may_help(&volume(Some("d")), &pod), "a volume that is kept for another claim");
    assert!(VolumeBinding::default().may_help(&claim("c"), &pod));
    assert!(!VolumeBinding::default().may_help(&claim("d"), &pod));
    let n1 = Arc::new(node(json!({})));
    assert!(!VolumeBinding::default().may_help(&ClusterEvent::NodeUpdated { old: n1.clone(), new: n1 }, &pod));
}

#[test]
fn volumes_are_provisioned_where_the_driver_has_enough_left() {
    use k8s_openapi::api::storage::v1::{CSIDriver, CSIStorageCapacity};
    let driver = |tells: bool| -> Arc<CSIDriver> {
        let driver = json!({ "metadata": { "name": "example.org/disks" }, "spec": { "storageCapacity": tells } });
        Arc::new(serde_json::from_value(driver).unwrap())
    };
    let capacity = |zone: &str, class: &str, size: &str, most: Option<&str>| -> Arc<CSIStorageCapacity> {
        let metadata = json!({ "name": format!("{zone}-{class}"), "namespace": "default" });
        let topology = json!({ "matchLabels": { "zone": zone } });
        let capacity = json!({ "metadata": metadata, "nodeTopology": topology, "storageClassName": class,
                               "capacity": size, "maximumVolumeSize": most });
        Arc::new(serde_json::from_value(capacity).unwrap())
    };
    let mut world = World::default().node("n1").node("n2").node("n3").class("fast", "example.org/disks", &[]).claim(
        "c",
        json!({ "storageClassName": "fast" }),
        json!({}),
    );
    let objects = world.snapshot.objects_mut();
    objects.set(driver(true));
    objects.set(capacity("n1", "fast", "500Mi", None));
    objects.set(capacity("n1", "slow", "5Gi", None));
    objects.set(capacity("n2", "fast", "5Gi", Some("900Mi")));
    let why = "0/3 nodes are available: 3 node(s) did not have enough free storage.";
    assert_eq!(world.place(&["c"]), Err(why.to_owned()));
    world.snapshot.objects_mut().set(capacity("n3", "fast", "1Gi", None));
    let provision = vec![VolumeChoice::Provision { claim: key("c") }];
    assert_eq!(world.place(&["c"]), Ok(("n3".to_owned(), provision)));
    world.snapshot.objects_mut().set(driver(false));
    assert!(world.place(&["c"]).is_ok(), "what the driver does not tell does not count");

    let helps = |event: orchestra_core::scheduler::ObjectChange| {
        VolumeBinding::default().may_help(&ClusterEvent::ObjectChanged(event), &using(&["c"]))
    };
    let (small, large) = (capacity("n1", "fast", "1Gi", None), capacity("n1", "fast", "2Gi", None));
    assert!(helps(Change::Added(small.clone()).into()));
    assert!(helps(Change::Updated { old: small.clone(), new: large.clone() }.into()));
    assert!(!helps(Change::Updated { old: large, new: small.clone() }.into()));
    assert!(!helps(Change::Deleted(small).into()));
    assert!(helps(Change::Updated { old: driver(true), new: driver(false) }.into()));
    assert!(!helps(Change::Updated { old: driver(false), new: driver(true) }.into()));
}

#[test]
fn arguments_say_how_long_volumes_may_take() {
    let with_args = |args: Value| VolumeBinding::new(serde_json::from_value(args).unwrap());
    let timeout = |plugin: VolumeBinding| {
        let world = World::default().node("n1").volume("v", "1Gi", "n1").bound("c", "v");
        let (mut state, pod) = (CycleState::default(), using(&["c"]));
        plugin.pre_filter(&mut state, &pod, &world.snapshot);
        let mut placement = Placement::on("n1");
        plugin.reserve(&state, &pod, world.snapshot.get("n1").unwrap(), &mut placement);
        placement.volume_timeout
    };
    assert_eq!(timeout(with_args(json!({})).unwrap()), Duration::from_secs(600));
    assert_eq!(timeout(with_args(json!({ "bindTimeoutSeconds": 5 })).unwrap()), Duration::from_secs(5));
    assert_eq!(
        with_args(json!({ "bindTimeoutSeconds": -1 })).unwrap_err(),
        "bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value"
    );
    assert_eq!(
        with_args(json!({ "shape": [{ "utilization": 0, "score": 1 }] })).unwrap_err(),
        r#"shape: Invalid value: [{"Utilization":0,"Score":1}]: unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"#
    );
}
