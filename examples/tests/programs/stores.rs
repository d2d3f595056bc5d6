//! Programs over stores that outlive them.

use std::{collections::BTreeMap, net::SocketAddr};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, Config,
    api::{Patch, PatchParams, PostParams},
    runtime::{
        WatchStreamExt,
        wait::await_condition,
        watcher::{self, watcher},
    },
};
use orchestra_core::store::{Event, KeyRange, Revision, Store};
use orchestra_store::StoreLocation;
use serde_json::json;

use crate::program::{Folder, Program};

const REPLICAS: i32 = 6;

fn client_of(address: SocketAddr) -> Client {
    Client::try_from(Config::new(format!("http://{address}").parse().unwrap())).unwrap()
}

fn image(version: u32) -> String {
    format!("web:v{version}")
}

/// A deployment of the first version.
fn deployment() -> Deployment {
    let object = json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": REPLICAS,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": image(1)}]},
            },
        },
    });
    serde_json::from_value(object).unwrap()
}

/// Whether all pods are of this version, and ready.
fn is_rolled_out(version: u32) -> impl Fn(Option<&Deployment>) -> bool {
    move |found| {
        let Some((spec, status)) = found.and_then(|found| Some((found.spec.as_ref()?, found.status.as_ref()?))) else {
            return false;
        };
        let containers = spec.template.spec.iter().flat_map(|spec| &spec.containers);
        let is_asked_for = containers.into_iter().all(|container| container.image == Some(image(version)));
        let observed = status.observed_generation == found.and_then(|found| found.metadata.generation);
        let all = [status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas];
        is_asked_for && observed && all == [Some(REPLICAS); 4]
    }
}

async fn rolled_out(client: &Client, version: u32) {
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    await_condition(deployments, "web", is_rolled_out(version)).await.unwrap();
}

/// Begins a rollout, and returns as soon as so many pods of the new version run.
async fn begin(client: &Client, version: u32, running: usize) {
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image(version)}]}}}});
    deployments.patch("web", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    let pods = watcher(Api::<Pod>::default_namespaced(client.clone()), watcher::Config::default());
    let mut pods = std::pin::pin!(pods.applied_objects());
    let mut seen = BTreeMap::new();
    while seen.len() < running {
        let pod = pods.next().await.unwrap().unwrap();
        let runs = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        let is_new = pod.spec.as_ref().is_some_and(|spec| spec.containers[0].image == Some(image(version)));
        if runs && is_new {
            seen.insert(pod.metadata.name, ());
        }
    }
}

/// Starts a cluster over `store`, kills it in the middle of rollouts, and starts it again each time.
async fn is_killed_in_rollouts(folder: &Folder, store: &str) -> Program {
    let arguments = format!("--listen 127.0.0.1:0 --kubeconfig config --nodes 2 --store {store}");
    let mut program = folder.start("standalone", &arguments);
    let mut client = client_of(program.address().await);
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    deployments.create(&PostParams::default(), &deployment()).await.unwrap();
    rolled_out(&client, 1).await;
    for (version, running) in [(2, 1), (3, 4)] {
        begin(&client, version, running).await;
        program.kill().await;
        program = folder.start("standalone", &arguments);
        client = client_of(program.address().await);
        rolled_out(&client, version).await;
    }
    program
}

/// How many pods of each image were ever made, as the store's history tells.
async fn pods_made(store: &dyn Store, since: Revision) -> BTreeMap<String, usize> {
    let end = store.revision().await.unwrap();
    let mut watch = store.watch(KeyRange::prefix("/registry/pods/default/"), since).await.unwrap();
    let mut made = BTreeMap::new();
    loop {
        let batch = watch.try_next().await.unwrap().unwrap();
        for event in batch.events {
            if let Event::Put { current, previous: None } = event {
                let pod: Pod = serde_json::from_slice(&current.value).unwrap();
                *made.entry(pod.spec.unwrap().containers[0].image.clone().unwrap()).or_default() += 1;
            }
        }
        if batch.revision >= end {
            return made;
        }
    }
}

fn each_once() -> BTreeMap<String, usize> {
    (1..=3).map(|version| (image(version), REPLICAS as usize)).collect()
}

#[tokio::test]
async fn a_cluster_that_is_killed_in_rollouts_goes_on_from_its_folder() {
    let folder = Folder::new();
    let program = is_killed_in_rollouts(&folder, "durable:data").await;
    program.signal("TERM").await;
    assert_eq!(program.exit_code().await, Some(0));
    let location: StoreLocation = format!("durable:{}", folder.path("data").display()).parse().unwrap();
    assert_eq!(pods_made(&*location.open().await.unwrap(), 0).await, each_once());
}

#[cfg(feature = "etcd")]
#[tokio::test]
async fn a_cluster_that_is_killed_in_rollouts_goes_on_from_etcd() {
    let folder = Folder::new();
    let quick = ["--heartbeat-interval=10", "--election-timeout=100"];
    let etcd = orchestra_examples::etcd::Etcd::start(&folder.path("etcd"), &quick).await.unwrap();
    let location = format!("etcd:{}", etcd.url());
    let program = is_killed_in_rollouts(&folder, &location).await;
    let location: StoreLocation = location.parse().unwrap();
    assert_eq!(pods_made(&*location.open().await.unwrap(), 1).await, each_once());
    program.signal("TERM").await;
    assert_eq!(program.exit_code().await, Some(0));
}

#[tokio::test]
async fn one_folder_has_one_process() {
    let folder = Folder::new();
    let arguments = "--listen 127.0.0.1:0 --kubeconfig config";
    let mut first = folder.start("standalone", arguments);
    first.address().await;
    let line = folder.fails("standalone", arguments).await;
    assert!(line.contains("orchestra.store is open already"), "{line}");
    first.signal("TERM").await;
    assert_eq!(first.exit_code().await, Some(0));
    let mut next = folder.start("standalone", arguments);
    next.address().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    for (store, named) in [("floppy", "none of memory, durable:PATH, etcd:URL"), ("etcd:1.2.3.4", "is no URL of etcd")]
    {
        let output = folder.run("standalone", &format!("--store {store}")).await;
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(named), "{said}");
    }
    folder.write("file", "not a folder");
    let line = folder.fails("standalone", "--store durable:file").await;
    assert!(line.contains("file"), "{line}");
    let line = folder.fails("standalone", "--store etcd:http://127.0.0.1:1").await;
    let named = match cfg!(feature = "etcd") {
        true => "etcd at http://127.0.0.1:1: store is unavailable: ",
        false => "this program is built without EtcdStore: build it with the cargo feature `etcd`",
    };
    assert!(line.starts_with(named), "{line}");
}

#[tokio::test]
async fn time_travel_shows_what_happened_to_a_deployment() {
    let folder = Folder::new();
    let shown = folder.run("time_travel", "").await;
    assert_eq!(shown.status.code(), Some(0));
    let shown = String::from_utf8(shown.stdout).unwrap();
    let story = [
        "revision 0: there is no such deployment; the cluster has 0 objects",
        ": deployments/default/web is created",
        ": replicasets/default/web-",
        ": pods/default/web-",
        r#"+ spec.nodeName: "node-1""#,
        r#"status.phase: "Pending" → "Running""#,
        r#"spec.template.spec.containers[main].image: "nginx:1.27" → "nginx:1.28""#,
        " is deleted",
        "spec.replicas: 1 → 2",
        ": 2 of 2 replicas are ready; the cluster has ",
    ];
    let rest = story.iter().try_fold(&*shown, |rest, part| rest.split_once(part).map(|(_, rest)| rest).ok_or(part));
    assert!(rest.is_ok(), "{rest:?} is not there, or not in its place, in\n{shown}");
    let revisions: Vec<u64> =
        shown.lines().filter_map(|line| line.strip_prefix("revision ")?.split(':').next()?.parse().ok()).collect();
    assert!(revisions.is_sorted(), "{revisions:?}");
}

#[tokio::test]
async fn time_travel_shows_the_part_that_is_asked_for() {
    let folder = Folder::new();
    let mut program = folder.start("standalone", "--listen 127.0.0.1:0 --kubeconfig config --store durable:data");
    let client = client_of(program.address().await);
    let deployments = Api::<Deployment>::default_namespaced(client.clone());
    deployments.create(&PostParams::default(), &deployment()).await.unwrap();
    rolled_out(&client, 1).await;
    let complete = deployments.get("web").await.unwrap().metadata.resource_version.unwrap();
    let scaled = deployments
        .patch("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 1}})))
        .await
        .unwrap();
    let scaled = scaled.metadata.resource_version.unwrap();
    program.signal("TERM").await;
    assert_eq!(program.exit_code().await, Some(0));
    let shown = folder.run("time_travel", &format!("--folder data --from {complete} --to {scaled}")).await;
    assert_eq!(shown.status.code(), Some(0));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with(&format!("revision {complete}: 6 of 6 replicas are ready; the cluster has ")), "{shown}");
    assert!(shown.contains(&format!("revision {scaled}: deployments/default/web changes\n")), "{shown}");
    assert!(shown.contains("\n  spec.replicas: 6 → 1\n"), "{shown}");
    assert!(shown.contains(&format!("\nrevision {scaled}: 6 of 1 replicas are ready; the cluster has ")), "{shown}");
    let line = folder.fails("time_travel", "--folder data --from 1000000").await;
    assert!(line.starts_with("from 1000000 to "), "{line}");
    let line = folder.fails("time_travel", "--folder data --deployment other").await;
    assert!(line.ends_with(" there was no deployment default/other"), "{line}");
    let line = folder.fails("time_travel", "--folder nowhere").await;
    assert_eq!(line, "nowhere is no folder");
    assert!(!folder.path("nowhere").exists());
}
