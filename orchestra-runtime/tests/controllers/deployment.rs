use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::ResourceExt;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    objects::{deployment, image},
    world::World,
};

#[tokio::test(start_paused = true)]
async fn a_rollout_replaces_pods_one_by_one_and_undo_reuses_the_old_set() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("a", 2)).await;
    let first = world.rolled_out("web", 2).await;
    assert_eq!(first.annotations()["deployment.kubernetes.io/revision"], "1");
    let old = world.list::<ReplicaSet>().await.remove(0).name_any();
    assert_eq!(world.scalings().await, [format!("Scaled up replica set {old} from 0 to 2")]);

    world.patch::<Deployment>("web", image("b")).await;
    let second = world.rolled_out("web", 2).await;
    assert_eq!(second.annotations()["deployment.kubernetes.io/revision"], "2");
    let sets = world.list::<ReplicaSet>().await;
    let new = sets.iter().map(ResourceExt::name_any).find(|name| *name != old).unwrap();
    let expected = [
        format!("Scaled up replica set {new} from 0 to 1"),
        format!("Scaled down replica set {old} from 2 to 1"),
        format!("Scaled up replica set {new} from 1 to 2"),
        format!("Scaled down replica set {old} from 1 to 0"),
    ];
    assert_eq!(world.scalings().await[1..], expected);

    world.patch::<Deployment>("web", image("a")).await;
    let third = world.rolled_out("web", 2).await;
    assert_eq!(third.annotations()["deployment.kubernetes.io/revision"], "3");
    let back = world.api::<ReplicaSet>().get(&old).await.unwrap();
    assert_eq!(back.annotations()["deployment.kubernetes.io/revision-history"], "1");
    let reasons = |deployment: Deployment| {
        let conditions = deployment.status.and_then(|status| status.conditions).unwrap_or_default();
        conditions.into_iter().filter_map(|condition| condition.reason).collect::<Vec<_>>()
    };
    assert_eq!(reasons(third), ["MinimumReplicasAvailable", "NewReplicaSetAvailable"]);
}

#[tokio::test(start_paused = true)]
async fn recreate_waits_until_all_old_pods_are_gone() {
    let world = World::start().await;
    let mut object = deployment("a", 3);
    object["spec"]["strategy"] = json!({"type": "Recreate"});
    world.create::<Deployment>(object).await;
    world.rolled_out("web", 3).await;
    world.patch::<Deployment>("web", image("b")).await;
    world
        .until("second rollout", async || {
            let pods = world.list::<Pod>().await;
            let images: std::collections::BTreeSet<_> =
                pods.iter().filter_map(|pod| pod.spec.as_ref()?.containers[0].image.clone()).collect();
            assert!(images.len() < 2, "old and new pods at the same time");
            world.play_kubelet().await;
            let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap_or_default();
            (images.contains("b") && status.available_replicas == Some(3)).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_scales_but_does_not_roll() {
    let world = World::start().await;
    world.create::<Deployment>(deployment("a", 2)).await;
    world.rolled_out("web", 2).await;
    world.patch::<Deployment>("web", json!({"spec": {"paused": true, "replicas": 4}})).await;
    world.patch::<Deployment>("web", image("b")).await;
    world
        .until("scale", async || {
            world.play_kubelet().await;
            let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap_or_default();
            (status.available_replicas == Some(4)).then_some(())
        })
        .await;
    assert_eq!(world.list::<ReplicaSet>().await.len(), 1);
    world.patch::<Deployment>("web", json!({"spec": {"paused": false}})).await;
    world.rolled_out("web", 4).await;
    assert_eq!(world.list::<ReplicaSet>().await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rollout_without_progress_is_told_after_its_deadline() {
    let world = World::start().await;
    let mut object = deployment("a", 1);
    object["spec"]["progressDeadlineSeconds"] = json!(60);
    let created = Instant::now();
    world.create::<Deployment>(object).await;
    world
        .until("deadline", async || {
            let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            conditions.into_iter().find(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"))
        })
        .await;
    assert!((60..=62).contains(&created.elapsed().as_secs()), "{:?}", created.elapsed());
}

#[tokio::test(start_paused = true)]
async fn history_beyond_the_limit_is_deleted() {
    let world = World::start().await;
    let mut object = deployment("a", 1);
    object["spec"]["revisionHistoryLimit"] = json!(1);
    world.create::<Deployment>(object).await;
    world.rolled_out("web", 1).await;
    for next in ["b", "c", "d"] {
        world.patch::<Deployment>("web", image(next)).await;
        world.rolled_out("web", 1).await;
    }
    world.until("clean-up", async || (world.list::<ReplicaSet>().await.len() == 2).then_some(())).await;
}
