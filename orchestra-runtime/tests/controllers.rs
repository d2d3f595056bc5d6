//! What the controllers make of objects: rollouts, adoption, garbage collection, the end of namespaces. There is no kubelet: the tests
//! say what becomes of pods.

#![allow(clippy::unwrap_used)]

use std::{fmt::Debug, sync::Arc, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{ConfigMap, Event, Namespace, Pod, ServiceAccount},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use orchestra_core::{
    clock::TokioClock, controller::ControllerContext, informer::InformerFactory, manager::ControllerManager,
    random::Generator,
};
use orchestra_runtime::controllers;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

mod small_api;

const DEADLINE: Duration = Duration::from_secs(120);

struct World {
    client: Client,
    stop: tokio_util::sync::DropGuard,
}

impl World {
    async fn start() -> Self {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let generator = Generator::seeded(1);
        let client = Client::new(small_api::router(clock.clone(), generator.fork()), "default");
        let context = ControllerContext {
            client: client.clone(),
            informers: InformerFactory::new(client.clone()),
            clock,
            generator,
        };
        let stop = CancellationToken::new();
        let mut manager = ControllerManager::new();
        for controller in controllers::all(&context) {
            manager = manager.with_arc(controller);
        }
        tokio::spawn(manager.run(stop.clone()));
        Self { client, stop: stop.drop_guard() }
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug,
    {
        let object: K = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await.unwrap()
    }

    async fn list<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.api::<K>().list(&ListParams::default()).await.unwrap().items
    }

    /// Says that all pods run and are ready; those that are being deleted end.
    async fn play_kubelet(&self) {
        for pod in self.list::<Pod>().await {
            let name = pod.name_any();
            if pod.metadata.deletion_timestamp.is_some() {
                let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
                let _ = self.api::<Pod>().delete(&name, &now).await;
                continue;
            }
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            let status = json!({"status": {"phase": "Running", "conditions": [ready]}});
            let _ = self.api::<Pod>().patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
        }
    }

    async fn patch<K>(&self, name: &str, patch: Value) -> K
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
    }

    /// Waits, running pods all the while, until the deployment's rollout is done.
    async fn rolled_out(&self, name: &str, replicas: i32) -> Deployment {
        eventually("rollout", async || {
            self.play_kubelet().await;
            let deployment = self.api::<Deployment>().get(name).await.unwrap();
            let status = deployment.status.clone().unwrap_or_default();
            let done = status.observed_generation == deployment.metadata.generation
                && status.replicas == Some(replicas)
                && status.updated_replicas == Some(replicas)
                && status.available_replicas == Some(replicas);
            done.then_some(deployment)
        })
        .await
    }

    async fn scalings(&self) -> Vec<String> {
        let events = self.list::<Event>().await.into_iter();
        let mut scalings: Vec<_> =
            events.filter(|event| event.reason.as_deref() == Some("ScalingReplicaSet")).collect();
        scalings.sort_by_key(|event| event.metadata.resource_version.as_deref().and_then(|v| v.parse::<u64>().ok()));
        scalings.into_iter().filter_map(|event| event.message).collect()
    }
}

/// Looks until there is something; time is paused and advances when all tasks rest.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = tokio::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "no {what} in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn deployment(image: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600,
            "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]},
            },
        },
    })
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn config_map(name: &str, owners: &[(&ConfigMap, bool)]) -> Value {
    let owners: Vec<_> = owners
        .iter()
        .map(|(owner, blocks)| {
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "name": owner.name_any(), "uid": owner.uid(),
                "blockOwnerDeletion": blocks,
            })
        })
        .collect();
    json!({"metadata": {"name": name, "ownerReferences": owners}})
}

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
    drop(world.stop);
}

#[tokio::test(start_paused = true)]
async fn recreate_waits_until_all_old_pods_are_gone() {
    let world = World::start().await;
    let mut object = deployment("a", 3);
    object["spec"]["strategy"] = json!({"type": "Recreate"});
    world.create::<Deployment>(object).await;
    world.rolled_out("web", 3).await;
    world.patch::<Deployment>("web", image("b")).await;
    eventually("second rollout", async || {
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
    eventually("scale", async || {
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
    world.create::<Deployment>(object).await;
    eventually("deadline", async || {
        let status = world.api::<Deployment>().get("web").await.unwrap().status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        conditions.into_iter().find(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"))
    })
    .await;
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
    eventually("clean-up", async || (world.list::<ReplicaSet>().await.len() == 2).then_some(())).await;
}

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
    let two = eventually("two pods", async || Some(owned().await).filter(|pods| pods.len() == 2)).await;
    assert!(two.contains(&"orphan".to_owned()), "{two:?}");

    world.api::<Pod>().delete("orphan", &DeleteParams::default()).await.unwrap();
    let replaced = async || {
        let pods = owned().await;
        (pods.len() == 2 && !pods.contains(&"orphan".to_owned())).then_some(pods)
    };
    let two = eventually("replacement", replaced).await;

    world.patch::<Pod>(&two[0], json!({"metadata": {"labels": {"app": "other"}}})).await;
    eventually("release", async || {
        let pods = owned().await;
        (pods.len() == 2 && !pods.contains(&two[0])).then_some(())
    })
    .await;
    assert_eq!(world.list::<Pod>().await.len(), 3);
    world.patch::<ReplicaSet>("set", json!({"spec": {"replicas": 0}})).await;
    eventually("scale to none", async || owned().await.is_empty().then_some(())).await;
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
    eventually("readiness", async || {
        world.play_kubelet().await;
        (status().await.ready_replicas == Some(1)).then_some(())
    })
    .await;
    assert_eq!(status().await.available_replicas, None);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    eventually("availability", async || (status().await.available_replicas == Some(1)).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn dependents_go_with_their_last_owner() {
    let world = World::start().await;
    let one = world.create::<ConfigMap>(config_map("one", &[])).await;
    let two = world.create::<ConfigMap>(config_map("two", &[])).await;
    world.create::<ConfigMap>(config_map("child", &[(&one, true), (&two, true)])).await;
    let child = async || world.api::<ConfigMap>().get_opt("child").await.unwrap();
    world.api::<ConfigMap>().delete("one", &DeleteParams::background()).await.unwrap();
    eventually("one owner left", async || child().await.filter(|child| child.owner_references().len() == 1)).await;
    world.api::<ConfigMap>().delete("two", &DeleteParams::background()).await.unwrap();
    eventually("child gone", async || child().await.is_none().then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_of_another_uid_does_not_count() {
    let world = World::start().await;
    let mut owner = world.create::<ConfigMap>(config_map("owner", &[])).await;
    owner.metadata.uid = Some("00000000-0000-0000-0000-000000000000".into());
    world.create::<ConfigMap>(config_map("child", &[(&owner, false)])).await;
    let gone = async || world.api::<ConfigMap>().get_opt("child").await.unwrap().is_none().then_some(());
    eventually("child gone", gone).await;
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
    eventually("child going", async || get("child").await.filter(|child| child.metadata.deletion_timestamp.is_some()))
        .await;
    assert_eq!(get("owner").await.unwrap().finalizers(), ["foregroundDeletion"]);
    world.patch::<ConfigMap>("child", json!({"metadata": {"finalizers": null}})).await;
    eventually("both gone", async || (get("child").await.is_none() && get("owner").await.is_none()).then_some(()))
        .await;
}

#[tokio::test(start_paused = true)]
async fn orphans_outlive_their_owner() {
    let world = World::start().await;
    let owner = world.create::<ConfigMap>(config_map("owner", &[])).await;
    world.create::<ConfigMap>(config_map("child", &[(&owner, true)])).await;
    world.api::<ConfigMap>().delete("owner", &DeleteParams::orphan()).await.unwrap();
    let gone = async || world.api::<ConfigMap>().get_opt("owner").await.unwrap().is_none().then_some(());
    eventually("owner gone", gone).await;
    assert!(world.api::<ConfigMap>().get("child").await.unwrap().owner_references().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_deployment_takes_its_sets_and_pods_along() {
    for policy in [DeleteParams::background(), DeleteParams::foreground()] {
        let world = World::start().await;
        world.create::<Deployment>(deployment("a", 3)).await;
        world.rolled_out("web", 3).await;
        world.api::<Deployment>().delete("web", &policy).await.unwrap();
        eventually("all gone", async || {
            world.play_kubelet().await;
            let left = world.list::<Pod>().await.len()
                + world.list::<ReplicaSet>().await.len()
                + world.list::<Deployment>().await.len();
            (left == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_goes_when_its_contents_are_gone_and_tells_what_holds_it() {
    let world = World::start().await;
    let namespaces = Api::<Namespace>::all(world.client.clone());
    let dying: Namespace = serde_json::from_value(json!({"metadata": {"name": "dying"}})).unwrap();
    namespaces.create(&PostParams::default(), &dying).await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(world.client.clone(), "dying");
    eventually("service account", async || accounts.get_opt("default").await.unwrap()).await;
    let maps = Api::<ConfigMap>::namespaced(world.client.clone(), "dying");
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.org/hold"]}});
    maps.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();

    namespaces.delete("dying", &DeleteParams::default()).await.unwrap();
    let message = async |kind: &str| {
        let conditions = namespaces.get("dying").await.unwrap().status?.conditions?;
        conditions.into_iter().find(|condition| condition.type_ == kind && condition.status == "True")?.message
    };
    let remaining = eventually("conditions", async || message("NamespaceFinalizersRemaining").await).await;
    let expected = "Some content in the namespace has finalizers remaining: example.org/hold in 1 resource instances";
    assert_eq!(remaining, expected);
    let remaining = message("NamespaceContentRemaining").await.unwrap();
    assert_eq!(remaining, "Some resources are remaining: configmaps. has 1 resource instances");
    assert!(accounts.list(&ListParams::default()).await.unwrap().items.is_empty());

    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &free).await.unwrap();
    eventually("end", async || namespaces.get_opt("dying").await.unwrap().is_none().then_some(())).await;
}
