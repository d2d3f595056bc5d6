//! Kubelets that come and go, while containers run.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    containerd::{
        Containerd, image,
        leftovers::{until_there_is, what_there_is},
        on_a_node,
    },
    process::Settings,
    world::{World, condition},
};

#[test]
fn containers_run_on_when_their_kubelet_is_stopped_and_when_it_is_killed() {
    on_a_node(async |node| {
        let before = what_there_is();
        let mut world = World::start(&node).await;
        begin(&world).await;
        let (web, plain) = (world.ready("web").await, world.ready("plain").await);
        let seen = Seen::follow(&world).await;
        for (color, kill) in [("green", false), ("blue", true)] {
            if kill {
                world.kill_kubelet();
            } else {
                world.stop_kubelet();
            }
            // What changes while there is none is seen after.
            world.patch::<ConfigMap>("config", json!({ "data": { "color": color } })).await;
            world.add(color, json!({ "containers": [{ "image": image::FOREVER }] })).await;
            world.start_kubelet(Settings::default());
            world.ready(color).await;
            while world.shell(&web, "cat /config/color").await != color {
                sleep(std::time::Duration::from_millis(20)).await;
            }
            assert_eq!(world.log("plain").await, "begins\n");
        }
        for (name, then) in [("web", web), ("plain", plain)] {
            let now = world.pod(name).await;
            assert_eq!(now["status"], then["status"]);
            // Not for a moment was it otherwise.
            seen.all(name).iter().for_each(|status| assert_eq!(*status, then["status"]));
        }
        drop(seen);
        probes_go_on(&world).await;
        nothing_stays(&world, &node, before).await;
        world.shut_down().await;
    });
}

async fn begin(world: &World) {
    world.create::<ConfigMap>(json!({ "metadata": { "name": "config" }, "data": { "color": "red" } })).await;
    let mounts = json!([
        { "name": "config", "mountPath": "/config" }, { "name": "memory", "mountPath": "/www" },
    ]);
    let script = "echo ok > /www/healthz; exec httpd -f -p 8080 -h /www";
    let http = json!({ "httpGet": { "path": "/healthz", "port": 8080 }, "periodSeconds": 1, "failureThreshold": 1 });
    let exec = json!({ "exec": { "command": ["test", "!", "-e", "/dead"] }, "periodSeconds": 1, "timeoutSeconds": 10 });
    let server = json!({
        "command": ["sh", "-c", script], "volumeMounts": mounts,
        "startupProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1, "failureThreshold": 30 },
        "readinessProbe": http, "livenessProbe": exec,
    });
    let spec = json!({
        "initContainers": [
            { "command": ["true"] }, { "name": "sidecar", "image": image::FOREVER, "restartPolicy": "Always" },
        ],
        "containers": [server, { "image": image::FOREVER }],
        "volumes": [
            { "name": "config", "configMap": { "name": "config" } },
            { "name": "memory", "emptyDir": { "medium": "Memory" } },
        ],
        "terminationGracePeriodSeconds": 3,
    });
    // Its init container is named as an ordinary one would be.
    let mut spec = spec;
    spec["initContainers"][0]["name"] = "init".into();
    world.add("web", spec).await;
    let script = "trap 'exit 0' TERM; echo begins; sleep 2147483647 & wait";
    world.add("plain", json!({ "containers": [{ "command": ["sh", "-c", script] }] })).await;
}

async fn probes_go_on(world: &World) {
    let web = world.pod("web").await;
    let ready = |pod: &Value| condition(&pod["status"], "Ready")["status"] == "True";
    world.shell(&web, "rm /www/healthz").await;
    world.until("not ready", "web", |pod| !ready(pod)).await;
    world.shell(&web, "echo ok > /www/healthz").await;
    world.ready("web").await;
    world.shell(&web, "touch /dead").await;
    let restarted = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"] == 1 && ready(pod);
    let again = world.until("restarted", "web", restarted).await;
    assert_eq!(again["status"]["podIP"], web["status"]["podIP"]);
}

async fn nothing_stays(world: &World, node: &Containerd, before: Vec<String>) {
    for pod in ["web", "plain", "green", "blue"] {
        world.begin_delete(pod, 3).await;
    }
    for pod in ["web", "plain", "green", "blue"] {
        world.gone(pod).await;
    }
    assert_eq!(world.count().await, (0, 0));
    assert_eq!(node.ctr(&["containers", "ls", "-q"]), "");
    until_there_is(before).await;
}

/// All statuses that pods had.
struct Seen {
    statuses: Arc<Mutex<Vec<(String, Value)>>>,
    following: JoinHandle<()>,
}

impl Seen {
    async fn follow(world: &World) -> Self {
        let statuses = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let pods = world.api::<Pod>();
        let version = pods.list(&Default::default()).await.unwrap().metadata.resource_version.unwrap();
        let mut events = pods.watch(&WatchParams::default(), &version).await.unwrap().boxed();
        let seen = Arc::clone(&statuses);
        let following = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let WatchEvent::Modified(pod) = event.unwrap() else { continue };
                let status = serde_json::to_value(pod.status).unwrap();
                seen.lock().unwrap().push((pod.metadata.name.unwrap(), status));
            }
        });
        Self { statuses, following }
    }

    fn all(&self, pod: &str) -> Vec<Value> {
        let all = self.statuses.lock().unwrap();
        all.iter().filter(|(name, _)| name == pod).map(|(_, status)| status.clone()).collect()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.following.abort();
    }
}
