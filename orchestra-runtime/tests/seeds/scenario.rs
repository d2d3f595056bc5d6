//! What users do to the cluster, step by step.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use orchestra_core::random::Generator;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::{
    workload::{MOST_REPLICAS, filler, index, recreated, rolling},
    world::{CRASHING_IMAGE, FLAKY_IMAGE, MISSING_IMAGE, SOUND_IMAGES, World},
};

/// How many things happen to the deployments.
const STEPS: u64 = 12;
/// No rollout of a sound image takes longer, faults and back-offs and all.
const DEADLINE: Duration = Duration::from_secs(1800);
const DEPLOYMENTS: [&str; 2] = ["web", "api"];

pub(crate) struct Scenario {
    seed: u64,
    generator: Generator,
    client: Client,
    deleted_by_user: Arc<Mutex<BTreeSet<String>>>,
}

impl Scenario {
    pub(crate) fn of(world: &World) -> Self {
        Self {
            seed: world.seed,
            generator: world.generator.fork(),
            client: world.client.clone(),
            deleted_by_user: Arc::clone(&world.deleted_by_user),
        }
    }

    /// In every other seed pods are lost also by other causes than rollouts.
    fn loses_pods(&self) -> bool {
        self.seed % 2 == 1
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::default_namespaced(self.client.clone())
    }

    /// Runs to the end, or tells what got stuck.
    pub(crate) async fn run(&self) -> Result<(), String> {
        let pods = Api::<Pod>::default_namespaced(self.client.clone());
        pods.create(&PostParams::default(), &filler()).await.expect("the pod is created");
        let api = if self.seed % 3 == 2 {
            recreated("api", &self.generator)
        } else {
            rolling("api", self.generator.below(100), &self.generator)
        };
        for deployment in [rolling("web", self.seed, &self.generator), api] {
            self.deployments().create(&PostParams::default(), &deployment).await.expect("the deployment is created");
        }
        for _ in 0..STEPS {
            self.pause().await?;
            self.step(DEPLOYMENTS[self.choose(DEPLOYMENTS.len())]).await;
        }
        for name in DEPLOYMENTS {
            self.patch(name, json!({"paused": false})).await;
            self.set_image(name, SOUND_IMAGES[self.choose(SOUND_IMAGES.len())]).await;
        }
        for name in DEPLOYMENTS {
            self.rolled_out(name).await?;
        }
        Ok(())
    }

    fn choose(&self, count: usize) -> usize {
        index(self.generator.below(count as u64), count)
    }

    /// Lets the cluster work: for a while, or until a rollout is done.
    async fn pause(&self) -> Result<(), String> {
        match self.generator.below(4) {
            0 => {
                let name = DEPLOYMENTS[self.choose(DEPLOYMENTS.len())];
                self.patch(name, json!({"paused": false})).await;
                self.set_image(name, SOUND_IMAGES[self.choose(SOUND_IMAGES.len())]).await;
                self.rolled_out(name).await
            }
            1 => {
                sleep(Duration::from_millis(self.generator.below(500))).await;
                Ok(())
            }
            _ => {
                sleep(Duration::from_millis(self.generator.below(15_000))).await;
                Ok(())
            }
        }
    }

    async fn step(&self, name: &str) {
        match self.generator.below(10) {
            0..=2 => self.set_image(name, SOUND_IMAGES[self.choose(SOUND_IMAGES.len())]).await,
            3 => self.set_image(name, CRASHING_IMAGE).await,
            4 => self.set_image(name, MISSING_IMAGE).await,
            5 => self.undo(name).await,
            6 | 7 => self.patch(name, json!({"replicas": self.generator.below(MOST_REPLICAS + 1)})).await,
            8 => self.patch(name, json!({"paused": self.generator.below(2) == 0})).await,
            _ if self.loses_pods() => self.delete_pods().await,
            _ => self.undo(name).await,
        }
        if self.loses_pods() && self.generator.below(4) == 0 {
            self.set_image(name, FLAKY_IMAGE).await;
        }
    }

    async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Strategic(json!({"spec": spec}));
        self.deployments().patch(name, &PatchParams::default(), &patch).await.expect("the deployment is patched");
    }

    async fn set_image(&self, name: &str, image: &str) {
        let containers = json!([{"name": "main", "image": image}]);
        self.patch(name, json!({"template": {"spec": {"containers": containers}}})).await;
    }

    /// As `kubectl rollout undo`: back to the template of the revision before. Templates differ in their images.
    async fn undo(&self, name: &str) {
        let sets = Api::<ReplicaSet>::default_namespaced(self.client.clone());
        let selected = ListParams::default().labels(&format!("app={name}"));
        let mut sets = sets.list(&selected).await.expect("the replica sets are listed").items;
        let revision = |set: &ReplicaSet| {
            let revision = set.annotations().get("deployment.kubernetes.io/revision");
            revision.and_then(|revision| revision.parse::<u64>().ok())
        };
        sets.sort_by_key(revision);
        let Some(before) = sets.len().checked_sub(2).map(|at| &sets[at]) else { return };
        let template = before.spec.as_ref().and_then(|spec| spec.template.as_ref()).and_then(|t| t.spec.as_ref());
        let image = template.and_then(|spec| spec.containers[0].image.clone()).expect("the container has an image");
        self.set_image(name, &image).await;
    }

    /// Deletes up to three pods, whosever they are.
    async fn delete_pods(&self) {
        let pods = Api::<Pod>::default_namespaced(self.client.clone());
        let mut present = pods.list(&ListParams::default()).await.expect("the pods are listed").items;
        present.retain(|pod| pod.name_any() != "filler");
        for _ in 0..1 + self.generator.below(3) {
            if present.is_empty() {
                return;
            }
            let pod = present.swap_remove(self.choose(present.len()));
            self.deleted_by_user.lock().insert(pod.uid().expect("a pod has a uid"));
            // It may have gone since.
            let _ = pods.delete(&pod.name_any(), &DeleteParams::default()).await;
        }
    }

    async fn rolled_out(&self, name: &str) -> Result<(), String> {
        let waiting = await_condition(self.deployments(), name, is_complete);
        match timeout(DEADLINE, waiting).await {
            Ok(waited) => waited.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("deployment {name}: its rollout got stuck")),
        }
    }
}

fn is_complete(deployment: Option<&Deployment>) -> bool {
    deployment.is_some_and(|deployment| {
        let status = deployment.status.clone().unwrap_or_default();
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let count = |count: Option<i32>| count.unwrap_or(0);
        status.observed_generation == deployment.metadata.generation
            && [status.replicas, status.updated_replicas, status.available_replicas].map(count) == [replicas; 3]
    })
}
