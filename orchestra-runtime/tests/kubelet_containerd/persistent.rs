//! Volumes that outlive their pods.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use serde_json::{Value, json};

use crate::{
    containerd::{image, on_a_node},
    process::Settings,
    world::{NODE, World},
};

/// A pod that mounts a claim at `/data`, on the node whatever the scheduler would say.
fn using(claim: &str, read_only: bool) -> Value {
    json!({
        "nodeName": NODE,
        "containers": [{ "image": image::FOREVER, "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }],
        "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": claim, "readOnly": read_only } }],
    })
}

async fn volume(world: &World, name: &str, source: Value) {
    let mut spec = json!({ "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"] });
    spec.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    world.create_in_cluster::<PersistentVolume>(json!({ "metadata": { "name": name }, "spec": spec })).await;
}

async fn claim(world: &World, name: &str, volume: &str) {
    let spec = json!({ "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": volume,
        "resources": { "requests": { "storage": "1Gi" } } });
    world.create::<PersistentVolumeClaim>(json!({ "metadata": { "name": name }, "spec": spec })).await;
}

fn local_on(node: &str, path: &str) -> Value {
    let host = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": [node] });
    let term = json!({ "matchExpressions": [host] });
    json!({ "local": { "path": path }, "nodeAffinity": { "required": { "nodeSelectorTerms": [term] } } })
}

#[test]
fn what_a_pod_writes_to_a_claims_volume_is_there_for_the_next_one() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        fs::create_dir_all("/run/local").unwrap();
        volume(&world, "host", json!({ "hostPath": { "path": "/run/host", "type": "DirectoryOrCreate" } })).await;
        volume(&world, "local", local_on(NODE, "/run/local")).await;
        for kind in ["host", "local"] {
            claim(&world, kind, kind).await;
            world.add("first", using(kind, false)).await;
            let first = world.running("first").await;
            assert_eq!(world.shell(&first, &format!("echo {kind} > /data/f; ls /data")).await, "f");
            world.delete("first").await;
            assert_eq!(fs::read_to_string(format!("/run/{kind}/f")).unwrap(), format!("{kind}\n"));

            world.add("second", using(kind, true)).await;
            let second = world.running("second").await;
            assert_eq!(world.shell(&second, "cat /data/f").await, kind);
            assert!(world.shell(&second, "echo x > /data/f").await.contains("Read-only file system"));
            world.delete("second").await;
        }
        assert_eq!(world.count().await, (0, 0));
        world.shut_down().await;
    });
}

#[test]
fn a_pod_waits_until_it_can_have_its_volume_and_says_why() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        world.add("p", using("data", false)).await;
        let head = "FailedMount: Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed \
                    to process volumes=[data]: error processing PVC default/data: ";
        let said = world.event(head).await;
        assert!(
            said.ends_with("failed to fetch PVC from API server: persistentvolumeclaims \"data\" not found"),
            "{said}"
        );
        claim(&world, "data", "disk").await;
        world.event(&format!("{head}PVC is not bound")).await;
        volume(&world, "disk", local_on(NODE, "/run/disk")).await;
        let missing =
            "MountVolume.NewMounter initialization failed for volume \"disk\" : path \"/run/disk\" does not exist";
        world.event(&format!("FailedMount: {missing}")).await;
        fs::create_dir_all("/run/disk").unwrap();
        world.running("p").await;

        volume(&world, "far", local_on("elsewhere", "/run/disk")).await;
        claim(&world, "far", "far").await;
        world.add("q", using("far", false)).await;
        let far = "MountVolume.NodeAffinity check failed for volume \"far\" : no matching NodeSelectorTerms";
        world.event(&format!("FailedMount: {far}")).await;
        world.delete("q").await;

        // A claim that is being deleted stays for the pod that has it, also when its container starts again.
        world.begin_delete_of::<PersistentVolumeClaim>("data").await;
        let pod = world.pod("p").await;
        world.shell(&pod, "kill 1").await;
        world.until_first("started again", "p", |status| status["restartCount"] == 1 && status["ready"] == true).await;
        world.delete("p").await;
        world.until_absent::<PersistentVolumeClaim>("data").await;
        world.shut_down().await;
    });
}

#[test]
fn a_local_volume_becomes_its_first_pods_groups_and_is_then_left_alone() {
    on_a_node(async |node| {
        let mut world = World::start(&node).await;
        fs::create_dir_all("/run/shared").unwrap();
        fs::write("/run/shared/f", "").unwrap();
        let close = || fs::set_permissions("/run/shared/f", fs::Permissions::from_mode(0o600)).unwrap();
        close();
        volume(&world, "shared", local_on(NODE, "/run/shared")).await;
        claim(&world, "shared", "shared").await;
        let of_group = |group: u32, read_only: bool| {
            let mut spec = using("shared", read_only);
            spec["securityContext"] = json!({ "fsGroup": group });
            spec
        };
        let found = || fs::metadata("/run/shared/f").map(|file| (file.gid(), file.mode() & 0o777)).unwrap();
        world.add("reads", of_group(3000, true)).await;
        world.running("reads").await;
        assert_eq!(found(), (0, 0o600));
        world.delete("reads").await;

        world.add("first", of_group(3000, false)).await;
        let first = world.running("first").await;
        assert_eq!(found(), (3000, 0o660));
        world.add("second", of_group(4000, false)).await;
        world.event("AlreadyMountedVolume: The requested fsGroup is 4000, but the volume shared has GID 3000. ").await;
        world.running("second").await;
        assert_eq!(found(), (3000, 0o660));
        world.delete("second").await;

        // What the pod made of its files since is not undone by a kubelet that starts anew.
        close();
        world.stop_kubelet();
        world.start_kubelet(Settings::default());
        world.add("third", of_group(3000, false)).await;
        world.running("third").await;
        world.shell(&first, "kill 1").await;
        world
            .until_first("started again", "first", |status| status["restartCount"] == 1 && status["ready"] == true)
            .await;
        assert_eq!(found(), (3000, 0o600));
        world.delete("first").await;
        world.delete("third").await;
        assert_eq!(world.count().await, (0, 0));
        world.shut_down().await;
    });
}
