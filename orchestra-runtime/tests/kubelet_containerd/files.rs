//! What containers find: volumes, users, names.

use std::fs;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::Patch;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    containerd::{image, on_a_node},
    world::World,
};

fn mounts_of_pods() -> usize {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.lines().filter(|line| line.contains(" /var/lib/kubelet/pods/")).count()
}

#[test]
fn a_container_finds_its_volumes_and_nothing_stays_of_them() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        world.create::<ConfigMap>(json!({ "metadata": { "name": "config" }, "data": { "color": "red" } })).await;
        world.create::<Secret>(json!({ "metadata": { "name": "key" }, "stringData": { "key": "k" } })).await;
        fs::create_dir_all("/run/shared").unwrap();
        let mounts = json!([
            { "name": "config", "mountPath": "/config" },
            { "name": "config", "mountPath": "/one/color", "subPath": "color" },
            { "name": "key", "mountPath": "/key" },
            { "name": "memory", "mountPath": "/memory" },
            { "name": "disk", "mountPath": "/disk" },
            { "name": "disk", "mountPath": "/part", "subPathExpr": "of/$(NAME)" },
            { "name": "host", "mountPath": "/host", "readOnly": true },
            { "name": "pod", "mountPath": "/pod" },
        ]);
        let name = json!([{ "name": "NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } }]);
        let volumes = json!([
            { "name": "config", "configMap": { "name": "config" } },
            { "name": "key", "secret": { "secretName": "key", "defaultMode": 0o400 } },
            { "name": "memory", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
            { "name": "disk", "emptyDir": {} },
            { "name": "host", "hostPath": { "path": "/run/shared", "type": "Directory" } },
            { "name": "pod", "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
        ]);
        let container = json!({ "name": "c", "image": image::USER, "imagePullPolicy": "Never", "env": name, "volumeMounts": mounts });
        let spec = json!({
            "containers": [container], "volumes": volumes, "subdomain": "web",
            "securityContext": { "fsGroup": 2000, "runAsNonRoot": true },
        });
        world.create::<Pod>(json!({ "metadata": { "name": "p", "labels": { "a": "b" } }, "spec": spec })).await;
        let pod = world.running("p").await;
        let said = async |command: &str| world.shell(&pod, command).await;
        assert_eq!(said("cat /config/color /one/color /key/key; id -u; id -G").await, "redredk1000\n1001 2000");
        assert_eq!(said("stat -c %a:%g -L /key/key; stat -c %g /disk").await, "440:2000\n2000");
        assert_eq!(said("df -k /memory | tail -1 | awk '{print $1, $2}'").await, "tmpfs 1024");
        assert_eq!(said("grep ' /key ' /proc/mounts | cut -d' ' -f1,3").await, "tmpfs tmpfs");
        assert_eq!(said("echo x > /part/f; cat /disk/of/p/f; cat /pod/labels").await, "x\na=\"b\"");
        assert!(said("echo x > /host/f").await.contains("Read-only file system"));
        assert!(said("cat /etc/hosts").await.contains("\tp.web.default.svc.cluster.local\tp"));
        assert!(said("cat /etc/resolv.conf").await.contains("search default.svc.cluster.local svc.cluster.local"));
        assert_eq!(said("hostname; echo bye > /dev/termination-log").await, "p");
        let account = "/var/run/secrets/kubernetes.io/serviceaccount";
        assert_eq!(said(&format!("cat {account}/namespace; cut -d. -f3 {account}/token | wc -c")).await, "default44");
        let patch = json!({ "data": { "color": "blue" } });
        world.api::<ConfigMap>().patch("config", &Default::default(), &Patch::Merge(patch)).await.unwrap();
        while said("cat /config/color").await != "blue" {
            sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(mounts_of_pods() > 0);
        world.delete("p").await;
        assert_eq!(mounts_of_pods(), 0);
        assert_eq!(fs::read_dir("/var/lib/kubelet/pods").unwrap().count(), 0);
        assert_eq!(fs::read_dir("/var/log/pods").unwrap().count(), 0);
        assert!(fs::read_dir("/run/shared").unwrap().next().is_none());
        world.shut_down().await;
    });
}

#[test]
fn a_part_of_a_volume_does_not_lead_out_of_it() {
    on_a_node(async |node| {
        let world = World::start(&node).await;
        fs::create_dir_all("/run/shared").unwrap();
        std::os::unix::fs::symlink("/etc", "/run/shared/out").unwrap();
        let mounts = json!([{ "name": "host", "mountPath": "/host", "subPath": "out" }]);
        let container =
            json!({ "name": "c", "image": image::FOREVER, "imagePullPolicy": "Never", "volumeMounts": mounts });
        let volumes = json!([{ "name": "host", "hostPath": { "path": "/run/shared" } }]);
        let spec = json!({ "containers": [container], "volumes": volumes });
        world.create::<Pod>(json!({ "metadata": { "name": "p" }, "spec": spec })).await;
        let waiting = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0]["state"]["waiting"].clone();
        let pod = world.until("refused", "p", |pod| waiting(pod)["reason"] == "CreateContainerConfigError").await;
        assert_eq!(waiting(&pod)["message"], "failed to prepare subPath for volumeMount \"host\" of container \"c\"");
        // The cause goes, and the pod runs.
        fs::remove_file("/run/shared/out").unwrap();
        let pod = world.running("p").await;
        assert_eq!(world.shell(&pod, "ls /host").await, "");
        world.delete("p").await;
        assert_eq!(mounts_of_pods(), 0);
        assert!(fs::exists("/etc/passwd").unwrap() && fs::exists("/run/shared/out").unwrap());
        world.shut_down().await;
    });
}
