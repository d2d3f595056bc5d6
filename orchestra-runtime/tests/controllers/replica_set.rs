use std::time::Duration;

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{ResourceExt, api::DeleteParams};
use serde_json::json;

use crate::{objects::deployment, world::World};

#[tokio::test(start_paused = true)]
async fn a_replica_set_replaces_adopts_and_releases_pods() {
    let world = World::start().await;
    let template = deployment("a", 2)["spec"]["template"].clone();
    let mut orphan = template.clone();
    orphan["metadata"]["name"] = json!("orphan");
    world.create::<Pod>(orphan).await;
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template});
    world.create::<ReplicaSet>(json!({"metadata": {"name": "set"}, "spec": spec})).await;
    let owned = async || {
        let pods = world.list::<Pod>().await.into_iter();
        pods.filter(|pod| !pod.owner_references().is_empty()).map(|pod| pod.name_any()).collect::<Vec<_>>()
    };
    let two = world.until("two pods", async || Some(owned().await).filter(|pods| pods.len() == 2)).await;
    assert!(two.contains(&"orphan".to_owned()), "{two:?}");

    world.api::<Pod>().delete("orphan", &DeleteParams::default()).await.unwrap();
    let replaced = async || {
        let pods = owned().await;
        (pods.len() == 2 && !pods.contains(&"orphan".to_owned())).then_some(pods)
    };
    let two = world.until("replacement", replaced).await;

    world.patch::<Pod>(&two[0], json!({"metadata": {"labels": {"app": "other"}}})).await;
    world
        .until("release", async || {
            let pods = owned().await;
            (pods.len() == 2 && !pods.contains(&two[0])).then_some(())
        })
        .await;
    assert_eq!(world.list::<Pod>().await.len(), 3);
    world.patch::<ReplicaSet>("set", json!({"spec": {"replicas": 0}})).await;
    world.until("scale to none", async || owned().await.is_empty().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn pods_are_available_only_after_their_minimum_of_ready_time() {
    let world = World::start().await;
    let template = deployment("a", 1)["spec"]["template"].clone();
    let spec = json!({
        "replicas": 1, "minReadySeconds": 3600, "selector": {"matchLabels": {"app": "web"}}, "template": template,
    });
    world.create::<ReplicaSet>(json!({"metadata": {"name": "set"}, "spec": spec})).await;
    let status = async || world.api::<ReplicaSet>().get("set").await.unwrap().status.unwrap_or_default();
    world
        .until("readiness", async || {
            world.play_kubelet().await;
            (status().await.ready_replicas == Some(1)).then_some(())
        })
        .await;
    assert_eq!(status().await.available_replicas, None);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    world.until("availability", async || (status().await.available_replicas == Some(1)).then_some(())).await;
}
