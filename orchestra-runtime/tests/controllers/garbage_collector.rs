use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{ConfigMap, Pod, PodTemplate},
};
use kube::{ResourceExt, api::DeleteParams};
use orchestra_store::apiserver::{
    row,
    strategy::{Column, Strategy},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    objects::{config_map, deployment},
    world::World,
};

#[tokio::test(start_paused = true)]
async fn dependents_go_with_their_last_owner() {
    let world = World::start().await;
    let one = world.create::<ConfigMap>(config_map("one", &[])).await;
    let two = world.create::<ConfigMap>(config_map("two", &[])).await;
    world.create::<ConfigMap>(config_map("child", &[(&one, true), (&two, true)])).await;
    let child = async || world.api::<ConfigMap>().get_opt("child").await.unwrap();
    world.api::<ConfigMap>().delete("one", &DeleteParams::background()).await.unwrap();
    world.until("one owner left", async || child().await.filter(|child| child.owner_references().len() == 1)).await;
    world.api::<ConfigMap>().delete("two", &DeleteParams::background()).await.unwrap();
    world.until("child gone", async || child().await.is_none().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_of_another_uid_does_not_count() {
    let world = World::start().await;
    let mut owner = world.create::<ConfigMap>(config_map("owner", &[])).await;
    owner.metadata.uid = Some("00000000-0000-0000-0000-000000000000".into());
    world.create::<ConfigMap>(config_map("child", &[(&owner, false)])).await;
    let gone = async || world.api::<ConfigMap>().get_opt("child").await.unwrap().is_none().then_some(());
    world.until("child gone", gone).await;
    world.api::<ConfigMap>().get("owner").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn foreground_deletion_takes_dependents_first() {
    let world = World::start().await;
    let owner = world.create::<ConfigMap>(config_map("owner", &[])).await;
    let mut held = config_map("child", &[(&owner, true)]);
    held["metadata"]["finalizers"] = json!(["example.org/hold"]);
    world.create::<ConfigMap>(held).await;
    world.api::<ConfigMap>().delete("owner", &DeleteParams::foreground()).await.unwrap();
    let get = async |name: &str| world.api::<ConfigMap>().get_opt(name).await.unwrap();
    world
        .until("child going", async || get("child").await.filter(|child| child.metadata.deletion_timestamp.is_some()))
        .await;
    assert_eq!(get("owner").await.unwrap().finalizers(), ["foregroundDeletion"]);
    world.patch::<ConfigMap>("child", json!({"metadata": {"finalizers": null}})).await;
    world
        .until("both gone", async || (get("child").await.is_none() && get("owner").await.is_none()).then_some(()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn orphans_outlive_their_owner() {
    let world = World::start().await;
    let owner = world.create::<ConfigMap>(config_map("owner", &[])).await;
    world.create::<ConfigMap>(config_map("child", &[(&owner, true)])).await;
    world.api::<ConfigMap>().delete("owner", &DeleteParams::orphan()).await.unwrap();
    let gone = async || world.api::<ConfigMap>().get_opt("owner").await.unwrap().is_none().then_some(());
    world.until("owner gone", gone).await;
    assert!(world.api::<ConfigMap>().get("child").await.unwrap().owner_references().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_deployment_takes_its_sets_and_pods_along() {
    for policy in [DeleteParams::background(), DeleteParams::foreground()] {
        let world = World::start().await;
        world.create::<Deployment>(deployment("a", 3)).await;
        world.rolled_out("web", 3).await;
        world.api::<Deployment>().delete("web", &policy).await.unwrap();
        world
            .until("all gone", async || {
                world.play_kubelet().await;
                let left = world.list::<Pod>().await.len()
                    + world.list::<ReplicaSet>().await.len()
                    + world.list::<Deployment>().await.len();
                (left == 0).then_some(())
            })
            .await;
    }
}

/// A kind that the table does not have.
struct PodTemplates;

impl Strategy for PodTemplates {
    type Object = PodTemplate;
    type Wire = PodTemplate;

    fn columns(&self) -> &'static [Column] {
        &[]
    }

    fn cells(&self, _: &PodTemplate, _: jiff::Timestamp) -> Vec<Value> {
        Vec::new()
    }
}

#[tokio::test(start_paused = true)]
async fn kinds_that_appear_later_take_part_at_once() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("a", 1)).await;
    world.rolled_out("web", 1).await;
    let owner = world.create::<ConfigMap>(config_map("owner", &[])).await;
    world.server.api.registry().insert(row(PodTemplates));
    let inserted = Instant::now();
    world.create::<PodTemplate>(config_map("child", &[(&owner, false)])).await;
    world.api::<ConfigMap>().delete("owner", &DeleteParams::background()).await.unwrap();
    let gone = async || world.api::<PodTemplate>().get_opt("child").await.unwrap().is_none().then_some(());
    world.until("child gone", gone).await;
    assert!(inserted.elapsed() < Duration::from_secs(1), "{:?}", inserted.elapsed());
}
