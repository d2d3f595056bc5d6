use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{super::testing::*, *};

const DRIVER: &str = "disks.example.org";

/// What there is beside nodes, in namespace `default`.
#[derive(Default)]
struct World(Snapshot);

impl World {
    /// A node that can have so many volumes of [`DRIVER`].
    fn node(self, name: &str, limit: i32) -> Self {
        self.bare_node(name).limit(name, &[(DRIVER, Some(limit))])
    }

    fn bare_node(mut self, name: &str) -> Self {
        self.0.insert(node(json!({ "metadata": { "name": name } })));
        self
    }

    fn limit(mut self, name: &str, limits: &[(&str, Option<i32>)]) -> Self {
        self.0.objects_mut().set(Arc::new(csi_node(name, limits)));
        self
    }

    /// A claim that is bound to a volume with this source.
    fn bound(mut self, name: &str, source: Value) -> Self {
        let volume = json!({ "metadata": { "name": format!("pv-{name}") }, "spec": source });
        self.0.objects_mut().set::<PersistentVolume>(Arc::new(serde_json::from_value(volume).unwrap()));
        self.claim(name, json!({ "volumeName": format!("pv-{name}") }))
    }

    /// One that is bound to a volume of [`DRIVER`].
    fn disk(self, name: &str) -> Self {
        let source = csi(name);
        self.bound(name, source)
    }

    fn claim(mut self, name: &str, spec: Value) -> Self {
        self.0.objects_mut().set(Arc::new(claim(name, spec)));
        self
    }

    fn class(mut self, name: &str, provisioner: &str) -> Self {
        let class = json!({ "metadata": { "name": name }, "provisioner": provisioner });
        self.0.objects_mut().set::<StorageClass>(Arc::new(serde_json::from_value(class).unwrap()));
        self
    }

    fn attached(mut self, volume: &str, node: &str) -> Self {
        self.0.objects_mut().set(Arc::new(attachment(volume, node)));
        self
    }

    fn running(mut self, node: &str, pod: PodInfo) -> Self {
        self.0.update(node, |info| info.add_pod(Arc::new(pod)));
        self
    }

    fn verdict(&self, pod: &PodInfo, node: &str) -> Option<(String, bool)> {
        verdict_in(&NodeVolumeLimits::default(), pod, self.0.get(node).unwrap(), &self.0)
    }

    fn takes(&self, pod: &PodInfo, node: &str) -> bool {
        let verdict = self.verdict(pod, node);
        assert!(verdict.iter().all(|why| *why == (TOO_MANY.to_owned(), true)), "{verdict:?}");
        verdict.is_none()
    }
}

fn csi_node(name: &str, limits: &[(&str, Option<i32>)]) -> CSINode {
    let driver = |(name, limit): &(&str, Option<i32>)| json!({ "name": name, "nodeID": "n", "allocatable": limit.map(|count| json!({ "count": count })) });
    let drivers: Vec<Value> = limits.iter().map(driver).collect();
    serde_json::from_value(json!({ "metadata": { "name": name }, "spec": { "drivers": drivers } })).unwrap()
}

fn csi(handle: &str) -> Value {
    json!({ "csi": { "driver": DRIVER, "volumeHandle": handle } })
}

fn claim(name: &str, spec: Value) -> PersistentVolumeClaim {
    let metadata = json!({ "name": name, "namespace": "default", "ownerReferences": [
        { "apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p" }] });
    serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
}

fn attachment(volume: &str, node: &str) -> VolumeAttachment {
    let source = json!({ "persistentVolumeName": volume });
    let spec = json!({ "attacher": DRIVER, "nodeName": node, "source": source });
    serde_json::from_value(json!({ "metadata": { "name": format!("{volume}-{node}") }, "spec": spec })).unwrap()
}

fn with_volumes(volumes: Vec<Value>) -> PodInfo {
    pod(json!({ "volumes": volumes }))
}

fn using(claims: &[&str]) -> PodInfo {
    let volume = |name: &&str| json!({ "name": name, "persistentVolumeClaim": { "claimName": name } });
    with_volumes(claims.iter().map(volume).collect())
}

#[test]
fn a_node_has_no_more_volumes_than_its_driver_can_attach() {
    let world = World::default().node("n1", 2).disk("a").disk("b").disk("c").running("n1", using(&["a"]));
    assert!(world.takes(&using(&["b"]), "n1"));
    assert!(!world.takes(&using(&["b", "c"]), "n1"));
    let full = world.running("n1", using(&["b"]));
    assert!(!full.takes(&using(&["c"]), "n1"));
    assert!(full.takes(&using(&[]), "n1"), "a pod without volumes is not asked");
}

#[test]
fn a_volume_that_several_pods_share_counts_once() {
    let world = World::default().node("n1", 1).disk("a").running("n1", using(&["a"])).running("n1", using(&["a"]));
    assert!(world.takes(&using(&["a"]), "n1"));
    let twins = World::default().node("n1", 1).bound("a", csi("same")).bound("b", csi("same"));
    assert!(twins.running("n1", using(&["a"])).takes(&using(&["b"]), "n1"), "two claims of one volume");
}

#[test]
fn each_driver_has_its_own_limit() {
    let other = json!({ "csi": { "driver": "other.example.org", "volumeHandle": "x" } });
    let world = World::default().node("n1", 1).disk("a").disk("b").bound("x", other).running("n1", using(&["a"]));
    assert!(world.takes(&using(&["x"]), "n1"));
    let limited = world.limit("n1", &[(DRIVER, Some(1)), ("other.example.org", Some(0))]);
    assert!(!limited.takes(&using(&["x"]), "n1"));
}

#[test]
fn without_a_csi_node_or_a_count_there_is_no_limit() {
    let many = ["a", "b", "c"];
    let world = World::default().bare_node("n1").disk("a").disk("b").disk("c");
    assert!(world.takes(&using(&many), "n1"));
    assert!(world.limit("n1", &[(DRIVER, None)]).takes(&using(&many), "n1"));
}

#[test]
fn claims_that_wait_for_a_volume_count_for_the_driver_of_their_class() {
    let waiting = json!({ "storageClassName": "fast" });
    let world = World::default()
        .node("n1", 1)
        .class("fast", DRIVER)
        .disk("a")
        .claim("new", waiting.clone())
        .claim("newer", waiting)
        .claim("unknown", json!({ "storageClassName": "absent" }))
        .claim("bare", json!({}));
    assert!(world.takes(&using(&["new"]), "n1"));
    assert!(!world.takes(&using(&["new", "newer"]), "n1"));
    let taken = world.running("n1", using(&["new"]));
    assert!(taken.takes(&using(&["new"]), "n1"), "the same claim");
    assert!(!taken.takes(&using(&["newer"]), "n1"));
    assert!(taken.takes(&using(&["unknown", "bare"]), "n1"), "nobody provisions them");
}

#[test]
fn a_claim_whose_volume_is_gone_counts_for_the_driver_of_its_class() {
    let world = World::default().node("n1", 0).class("fast", DRIVER);
    let world = world.claim("c", json!({ "volumeName": "gone", "storageClassName": "fast" }));
    assert!(!world.takes(&using(&["c"]), "n1"));
}

#[test]
fn claims_made_for_a_pod_alone_count_if_they_are_its_own() {
    let template = json!({ "spec": { "accessModes": ["ReadWriteOnce"], "resources": {} } });
    let pod = with_volumes(vec![json!({ "name": "scratch", "ephemeral": { "volumeClaimTemplate": template } })]);
    let world = World::default().node("n1", 0).bound("p-scratch", csi("s"));
    assert!(!world.takes(&pod, "n1"));
    let mut other = (**pod.pod()).clone();
    other.metadata.uid = Some("other".to_owned());
    assert!(world.takes(&other.into(), "n1"));
}

#[test]
fn volumes_of_clouds_count_as_those_of_the_drivers_that_took_them_over() {
    for (driver, source) in [
        ("ebs.csi.aws.com", json!({ "awsElasticBlockStore": { "volumeID": "vol-1" } })),
        ("pd.csi.storage.gke.io", json!({ "gcePersistentDisk": { "pdName": "d" } })),
        ("disk.csi.azure.com", json!({ "azureDisk": { "diskName": "d", "diskURI": "u" } })),
        ("cinder.csi.openstack.org", json!({ "cinder": { "volumeID": "d" } })),
        ("pxd.portworx.com", json!({ "portworxVolume": { "volumeID": "d" } })),
    ] {
        let world = World::default().bare_node("n1").limit("n1", &[(driver, Some(0))]).bound("a", source.clone());
        assert!(!world.takes(&using(&["a"]), "n1"), "{driver}");
        let mut own = source;
        merge(&mut own, json!({ "name": "v" }));
        assert!(!world.takes(&with_volumes(vec![own]), "n1"), "{driver}, named by the pod itself");
    }
    let world = World::default().bare_node("n1").limit("n1", &[("ebs.csi.aws.com", Some(0))]);
    let world = world.class("gp2", "kubernetes.io/aws-ebs").claim("c", json!({ "storageClassName": "gp2" }));
    assert!(!world.takes(&using(&["c"]), "n1"));
}

#[test]
fn an_old_volume_and_a_new_one_of_the_same_disk_count_once() {
    let old = json!({ "awsElasticBlockStore": { "volumeID": "aws://eu-1a/vol-1" } });
    let new = json!({ "csi": { "driver": "ebs.csi.aws.com", "volumeHandle": "vol-1" } });
    let world = World::default().bare_node("n1").limit("n1", &[("ebs.csi.aws.com", Some(1))]);
    let world = world.bound("old", old).bound("new", new).running("n1", using(&["old"]));
    assert!(world.takes(&using(&["new"]), "n1"));
}

#[test]
fn volumes_that_nothing_attaches_do_not_count() {
    let world = World::default().node("n1", 0).bound("a", json!({ "nfs": { "server": "s", "path": "/" } }));
    assert!(world.takes(&using(&["a"]), "n1"));
    assert!(world.takes(&with_volumes(vec![json!({ "name": "v", "emptyDir": {} })]), "n1"));
}

#[test]
fn what_is_still_attached_counts_once() {
    let world = World::default().node("n1", 2).node("n2", 2).disk("a").disk("b").disk("c");
    let world = world.attached("pv-a", "n1").running("n1", using(&["a"]));
    assert!(world.takes(&using(&["b"]), "n1"), "a is in use and attached: one volume");
    let world = world.attached("pv-c", "n1");
    assert!(!world.takes(&using(&["b"]), "n1"), "c is not in use, but attached");
    assert!(world.takes(&using(&["b"]), "n2"), "to another node");
    let world = World::default().node("n1", 1).disk("b").attached("pv-unknown", "n1");
    assert!(world.takes(&using(&["b"]), "n1"), "what it is cannot be told");
}

#[test]
fn a_missing_claim_keeps_the_pod_back_in_kubernetes_words() {
    let world = World::default().node("n1", 1);
    let why = r#"looking up PVC default/absent: persistentvolumeclaim "absent" not found"#;
    assert_eq!(world.verdict(&using(&["absent"]), "n1"), Some((why.to_owned(), false)));
    // That of a pod which runs already does not matter.
    assert!(world.disk("a").running("n1", using(&["absent"])).takes(&using(&["a"]), "n1"));
}

#[test]
fn limits_and_attachments_are_read_again_when_they_change() {
    let (plugin, pod) = (NodeVolumeLimits::default(), using(&["a"]));
    let takes = |world: &World| verdict_in(&plugin, &pod, world.0.get("n1").unwrap(), &world.0).is_none();
    let world = World::default().node("n1", 1).disk("a").disk("b");
    assert!(takes(&world));
    let world = world.attached("pv-b", "n1");
    assert!(!takes(&world));
    assert!(takes(&world.limit("n1", &[(DRIVER, Some(2))])));
}

#[test]
fn only_what_makes_room_for_volumes_is_worth_another_attempt() {
    let (plugin, pod) = (NodeVolumeLimits::default(), using(&["a"]));
    let helps = |event: ClusterEvent| plugin.concerns(event.kind()) && plugin.may_help(&event, &pod);
    let gone = |pod: PodInfo| ClusterEvent::PodReleased(Arc::new(pod));
    assert!(helps(gone(using(&["b"]))) && !helps(gone(using(&[]))));
    let limits = |from: &[(&str, Option<i32>)], to: &[(&str, Option<i32>)]| {
        let (old, new) = (Arc::new(csi_node("n1", from)), Arc::new(csi_node("n1", to)));
        ClusterEvent::ObjectChanged(Change::Updated { old, new }.into())
    };
    assert!(helps(limits(&[(DRIVER, Some(1))], &[(DRIVER, Some(2))])));
    assert!(helps(limits(&[(DRIVER, Some(1))], &[])), "no limit any more");
    assert!(!helps(limits(&[(DRIVER, Some(2))], &[(DRIVER, Some(1))])));
    assert!(helps(ClusterEvent::ObjectChanged(Change::Added(Arc::new(csi_node("n2", &[]))).into())));
    let claimed = |name: &str| ClusterEvent::ObjectChanged(Change::Added(Arc::new(claim(name, json!({})))).into());
    assert!(helps(claimed("a")) && !helps(claimed("b")));
    let detached = |change: fn(Arc<VolumeAttachment>) -> Change<VolumeAttachment>| {
        ClusterEvent::ObjectChanged(change(Arc::new(attachment("pv-b", "n1"))).into())
    };
    assert!(helps(detached(Change::Deleted)) && !helps(detached(Change::Added)));
    assert!(plugin.concerns(EventKind::NodeAdded) && !plugin.concerns(EventKind::NodeUpdated));
}

proptest! {
    /// Whatever is told without looking at the volumes is what counting them one by one would tell.
    #[test]
    fn a_short_cut_tells_the_same_as_counting(
        limit in 0..7_usize,
        // Of each claim, which volume it is bound to.
        bound in vec(0..6_usize, 8),
        pods in vec(vec(0..8_usize, 0..3), 0..5),
        attached in vec(0..6_usize, 0..4),
        wanted in vec(0..8_usize, 0..4),
    ) {
        let claim = |claim: &usize| format!("c{claim}");
        let mut world = World::default().node("n1", i32::try_from(limit).unwrap());
        for (number, disk) in bound.iter().enumerate() {
            world = world.bound(&claim(&number), csi(&format!("d{disk}")));
        }
        for disk in 0..6 {
            world = world.bound(&format!("of-{disk}"), csi(&format!("d{disk}")));
        }
        for disk in &attached {
            world = world.attached(&format!("pv-of-{disk}"), "n1");
        }
        let using_all = |claims: &[usize]| {
            let names: Vec<String> = claims.iter().map(claim).collect();
            using(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        for claims in &pods {
            world = world.running("n1", using_all(claims));
        }
        let disks = |claims: &[usize]| -> BTreeSet<usize> { claims.iter().map(|claim| bound[*claim]).collect() };
        let used: BTreeSet<usize> = pods.iter().flat_map(|claims| disks(claims)).collect();
        let unused = attached.iter().copied().collect::<BTreeSet<_>>().difference(&used).count();
        let new = disks(&wanted).difference(&used).count();
        let fits = new == 0 || used.len() + unused + new <= limit;
        prop_assert_eq!(world.takes(&using_all(&wanted), "n1"), fits);
    }
}
