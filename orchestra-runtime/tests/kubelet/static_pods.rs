//! Static pods, and the mirrors that show them.

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use k8s_openapi::api::core::v1::{Event, Node as ApiNode, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::node::{Node, SECOND, Seen};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of manifests that goes with the test.
struct Manifests(PathBuf);

impl Manifests {
    fn new() -> Self {
        let name = format!("orchestra-manifests-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a manifest as one does who wants no half of it read.
    fn write(&self, file: &str, text: &str) {
        let hidden = self.0.join(format!(".{file}"));
        fs::write(&hidden, text).unwrap();
        fs::rename(hidden, self.0.join(file)).unwrap();
    }

    fn add(&self, name: &str, image: &str) {
        self.write(&format!("{name}.json"), &manifest(name, image, json!({})).to_string());
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.0.join(file)).unwrap();
    }

    fn start(&self, node: &mut Node) {
        node.start_as(node.builder().static_pods(&self.0));
    }
}

impl Drop for Manifests {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn manifest(name: &str, image: &str, spec: Value) -> Value {
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": image }] } });
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pod
}

/// A node whose folder has the pod `web`, which runs.
async fn with_web() -> (Node, Manifests) {
    let (mut node, manifests) = (Node::with(&[]).await, Manifests::new());
    manifests.add("web", "nginx");
    manifests.start(&mut node);
    node.until("ready", "web-n1", Seen::is_ready).await;
    (node, manifests)
}

/// The same, `web` as it is while the kubelet is stopped; meanwhile the static pod `old` and the pod `gone`, which run, have come to their end.
async fn stopped_with_orphans() -> (Node, Manifests, Seen) {
    let (mut node, manifests) = with_web().await;
    manifests.add("old", "nginx");
    node.until("ready", "old-n1", Seen::is_ready).await;
    node.add_pod("gone", "nginx", json!({})).await;
    node.until("ready", "gone", Seen::is_ready).await;
    let before = node.pod("web-n1").await.unwrap();
    node.stop().await;
    manifests.remove("old.json");
    node.delete_pod("gone", 0).await;
    (node, manifests, before)
}

fn annotation(pod: &Seen, name: &str) -> String {
    pod.0["metadata"]["annotations"][name].as_str().unwrap_or_default().to_owned()
}

/// Waits until it is so, while nothing is written that could tell of it.
async fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < SECOND * 120, "never happened");
        sleep(SECOND / 10).await;
    }
}

const HASH: &str = "kubernetes.io/config.hash";

#[tokio::test(start_paused = true)]
async fn a_static_pod_runs_and_a_mirror_shows_it() {
    let (node, _manifests) = with_web().await;
    let mirror = node.pod("web-n1").await.unwrap();
    let hash = annotation(&mirror, HASH);
    assert_eq!(hash.len(), 32);
    assert_eq!(annotation(&mirror, "kubernetes.io/config.mirror"), hash);
    assert_eq!(annotation(&mirror, "kubernetes.io/config.source"), "file");
    assert!(annotation(&mirror, "kubernetes.io/config.seen").ends_with('Z'));
    let machine = Api::<ApiNode>::all(node.server.client()).get("n1").await.unwrap();
    let owner = &mirror.0["metadata"]["ownerReferences"];
    let expected =
        json!([{ "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": machine.uid(), "controller": true }]);
    assert_eq!(*owner, expected);
    assert_ne!(mirror.0["metadata"]["uid"].as_str(), Some(hash.as_str()));
    assert_eq!(mirror.0["spec"]["nodeName"], "n1");
    // No account was put into it.
    assert_eq!((&mirror.0["spec"]["serviceAccountName"], &mirror.0["spec"]["volumes"]), (&Value::Null, &Value::Null));
    // What runs has the uid of the manifest, by which events are found.
    assert_eq!(node.runtime.sandbox_config("web-n1").unwrap().metadata.uid, hash);
    let events = Api::<Event>::default_namespaced(node.server.client()).list(&ListParams::default()).await.unwrap();
    assert!(!events.items.is_empty());
    assert!(events.iter().all(|event| event.involved_object.uid.as_deref() == Some(&hash)));
    assert_eq!(node.runtime.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn to_delete_the_mirror_does_not_stop_the_pod() {
    let (node, _manifests) = with_web().await;
    let container = node.status("web-n1").await["containerStatuses"][0]["containerID"].clone();
    for grace in [30, 0] {
        let before = node.uid("web-n1").await;
        node.delete_pod("web-n1", grace).await;
        let is_another = |pod: &Seen| pod.0["metadata"]["uid"] != *before && pod.is_ready();
        let pods = Api::<Pod>::default_namespaced(node.server.client());
        let again = async || {
            let found = pods.get_opt("web-n1").await.unwrap()?;
            Some(Seen(serde_json::to_value(found).unwrap())).filter(is_another)
        };
        let mirror = node.server.until("another mirror", again).await;
        assert_eq!(mirror.0["status"]["containerStatuses"][0]["containerID"], container);
        assert_eq!(mirror.restarts(), 0);
    }
    assert!(node.events().await.iter().all(|event| !event.contains("Killing")));
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_replaces_its_pod() {
    let (node, manifests) = with_web().await;
    let before = node.pod("web-n1").await.unwrap();
    manifests.add("web", "nginx:2");
    let changed = |pod: &Seen| annotation(pod, HASH) != annotation(&before, HASH) && pod.is_ready();
    node.server.until("change", async || node.pod("web-n1").await.filter(&changed)).await;
    let mirror = node.pod("web-n1").await.unwrap();
    assert_eq!(mirror.0["spec"]["containers"][0]["image"], "nginx:2");
    assert_ne!(mirror.0["metadata"]["uid"], before.0["metadata"]["uid"]);
    node.server.until("room", async || (node.runtime.counts() == (1, 1)).then_some(())).await;
    // The old one had ended before the new one began.
    let events = node.events().await;
    let at = |what: &str| events.iter().position(|event| event.contains(what)).unwrap();
    assert!(at("Stopping container c") < at("nginx:2"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_removed_file_ends_its_pod_with_its_grace() {
    let (mut node, manifests) = (Node::with(&[]).await, Manifests::new());
    let hook = json!({ "preStop": { "sleep": { "seconds": 5 } } });
    let container = json!({ "name": "c", "image": "nginx", "lifecycle": hook });
    let spec = json!({ "terminationGracePeriodSeconds": 20, "containers": [container] });
    manifests.write("web.json", &manifest("web", "nginx", spec).to_string());
    manifests.start(&mut node);
    node.until("ready", "web-n1", Seen::is_ready).await;
    manifests.remove("web.json");
    let begun = Instant::now();
    node.server.until("end", async || node.pod("web-n1").await.is_none().then_some(())).await;
    assert!((SECOND * 5..SECOND * 8).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    assert_eq!(node.runtime.counts(), (0, 0));
    sleep(SECOND * 60).await;
    assert!(node.pod("web-n1").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn static_pods_run_change_and_end_while_the_api_server_is_away() {
    let (mut node, manifests) = (Node::with(&[]).await, Manifests::new());
    node.line.cut(true);
    manifests.add("web", "nginx");
    manifests.add("db", "postgres");
    manifests.start(&mut node);
    let image = |name: &str| node.runtime.container_config(name, "c").map(|config| config.image.0);
    until(|| node.runtime.counts() == (2, 2)).await;
    manifests.add("web", "nginx:2");
    manifests.remove("db.json");
    until(|| node.runtime.counts() == (1, 1) && image("web-n1").as_deref() == Some("nginx:2")).await;
    assert!(node.pod("web-n1").await.is_none());
    node.line.cut(false);
    node.until("ready", "web-n1", Seen::is_ready).await;
    assert!(node.pod("db-n1").await.is_none());
    assert_eq!(node.pod("web-n1").await.unwrap().restarts(), 0);
}

#[tokio::test(start_paused = true)]
async fn files_that_make_no_pod_harm_no_others() {
    let (mut node, manifests) = (Node::with(&[]).await, Manifests::new());
    manifests.write("a.yaml", "apiVersion: v1\nkind: Pod\nmetadata: [");
    manifests.write("b.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n");
    let secret = json!({ "volumes": [{ "name": "v", "secret": { "secretName": "s" } }] });
    manifests.write("c.json", &manifest("c", "nginx", secret).to_string());
    manifests.write("d.json", &manifest("d", "nginx", json!({ "serviceAccountName": "x" })).to_string());
    fs::write(manifests.0.join(".hidden.json"), manifest("hidden", "nginx", json!({})).to_string()).unwrap();
    fs::create_dir(manifests.0.join("folder")).unwrap();
    manifests.write(
        "y.yaml",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: c, image: i}]}\n",
    );
    manifests.write("z.json", &manifest("web", "another", json!({})).to_string());
    manifests.start(&mut node);
    node.until("ready", "web-n1", Seen::is_ready).await;
    let pods = Api::<Pod>::default_namespaced(node.server.client()).list(&ListParams::default()).await.unwrap();
    assert_eq!(pods.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["web-n1"]);
    assert_eq!(node.pod("web-n1").await.unwrap().0["spec"]["containers"][0]["image"], "i");
    // A file that is mended counts.
    manifests.write("c.json", &manifest("c", "nginx", json!({})).to_string());
    node.server.until("another", async || node.pod("c-n1").await.filter(Seen::is_ready).map(drop)).await;
}

#[tokio::test(start_paused = true)]
async fn a_kubelet_that_starts_again_takes_over_static_pods_and_ends_those_whose_files_went() {
    let (mut node, manifests) = with_web().await;
    manifests.add("old", "nginx");
    node.until("ready", "old-n1", Seen::is_ready).await;
    let before = node.pod("web-n1").await.unwrap();
    node.stop().await;
    manifests.remove("old.json");
    manifests.start(&mut node);
    node.server.until("end", async || node.pod("old-n1").await.is_none().then_some(())).await;
    node.server.until("room", async || (node.runtime.counts() == (1, 1)).then_some(())).await;
    sleep(SECOND * 60).await;
    let after = node.pod("web-n1").await.unwrap();
    assert_eq!(after.0["metadata"]["uid"], before.0["metadata"]["uid"]);
    assert_eq!(after.0["status"], before.0["status"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_folder_cannot_be_read_what_runs_is_no_orphan() {
    let (mut node, manifests, before) = stopped_with_orphans().await;
    // There is a file where the folder was.
    let aside = manifests.0.with_extension("aside");
    fs::rename(&manifests.0, &aside).unwrap();
    fs::write(&manifests.0, "").unwrap();
    manifests.start(&mut node);
    node.add_pod("new", "nginx", json!({})).await;
    node.until("ready", "new", Seen::is_ready).await;
    sleep(SECOND * 60).await;
    assert_eq!(node.runtime.counts(), (4, 4));
    fs::remove_file(&manifests.0).unwrap();
    fs::rename(&aside, &manifests.0).unwrap();
    node.server.until("end", async || node.pod("old-n1").await.is_none().then_some(())).await;
    node.server.until("room", async || (node.runtime.counts() == (2, 2)).then_some(())).await;
    sleep(SECOND * 60).await;
    let after = node.pod("web-n1").await.unwrap();
    assert_eq!(after.0["metadata"]["uid"], before.0["metadata"]["uid"]);
    assert_eq!(after.0["status"], before.0["status"]);
}

#[tokio::test(start_paused = true)]
async fn while_a_file_is_half_written_no_static_pod_is_an_orphan() {
    let (mut node, manifests, before) = stopped_with_orphans().await;
    let whole = manifest("web", "nginx", json!({})).to_string();
    manifests.write("web.json", &whole[..whole.len() / 2]);
    manifests.add("new", "nginx");
    manifests.start(&mut node);
    // Others start, and what is no static pod ends.
    node.until("ready", "new-n1", Seen::is_ready).await;
    node.server.until("end", async || (node.runtime.counts() == (3, 3)).then_some(())).await;
    sleep(SECOND * 60).await;
    assert_eq!(node.runtime.counts(), (3, 3));
    assert!(node.pod("old-n1").await.is_some());
    let meanwhile = node.pod("web-n1").await.unwrap();
    assert_eq!(meanwhile.0["status"], before.0["status"]);
    manifests.write("web.json", &whole);
    node.server.until("end", async || node.pod("old-n1").await.is_none().then_some(())).await;
    node.server.until("room", async || (node.runtime.counts() == (2, 2)).then_some(())).await;
    sleep(SECOND * 60).await;
    let after = node.pod("web-n1").await.unwrap();
    assert_eq!((&after.0["metadata"]["uid"], &after.0["status"]), (&before.0["metadata"]["uid"], &before.0["status"]));
    // The same while the kubelet runs.
    manifests.write("web.json", &whole[..whole.len() / 2]);
    sleep(SECOND * 60).await;
    assert_eq!(node.runtime.counts(), (2, 2));
    manifests.remove("web.json");
    node.server.until("room", async || (node.runtime.counts() == (1, 1)).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_the_same_name_is_not_taken_for_a_mirror() {
    let (mut node, manifests) = (Node::with(&[]).await, Manifests::new());
    node.add_unbound_pod("web-n1", "other").await;
    manifests.add("web", "nginx");
    manifests.start(&mut node);
    node.server.until("one pod", async || (node.runtime.counts() == (1, 1)).then_some(())).await;
    sleep(SECOND * 60).await;
    assert_eq!(node.pod("web-n1").await.unwrap().0["spec"]["containers"][0]["image"], "other");
    let pods = Api::<Pod>::default_namespaced(node.server.client());
    pods.delete("web-n1", &DeleteParams::default()).await.unwrap();
    node.server.until("mirror", async || node.pod("web-n1").await.filter(Seen::is_ready).map(drop)).await;
}

#[tokio::test(start_paused = true)]
async fn mirrors_of_pods_that_nobody_runs_are_removed() {
    let mut node = Node::with(&[]).await;
    let mut pod = manifest("ghost", "nginx", json!({ "nodeName": "n1" }));
    pod["metadata"]["annotations"] =
        json!({ "kubernetes.io/config.mirror": "x", "kubernetes.io/config.source": "file" });
    let pods = Api::<Pod>::default_namespaced(node.server.client());
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    node.start();
    node.until_gone("ghost").await;
    assert_eq!(node.runtime.counts(), (0, 0));
}
