use k8s_openapi::api::{
    core::v1::{Event, Pod},
    resource::v1::{ResourceClaim, ResourceClaimTemplate},
};
use kube::{
    ResourceExt,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::World;

const FINALIZER: &str = "resource.kubernetes.io/delete-protection";

impl World {
    async fn claim_template(&self, name: &str) {
        let request = json!({ "name": "r", "exactly": { "deviceClassName": "gpu" } });
        let spec =
            json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "devices": { "requests": [request] } } });
        self.create::<ResourceClaimTemplate>(json!({ "metadata": { "name": name }, "spec": spec })).await;
    }

    async fn device_claim(&self, name: &str) -> ResourceClaim {
        let request = json!({ "name": "r", "exactly": { "deviceClassName": "gpu" } });
        self.create(json!({ "metadata": { "name": name }, "spec": { "devices": { "requests": [request] } } })).await
    }

    async fn pod_with(&self, name: &str, source: Value) -> Pod {
        let mut entry = json!({ "name": "gpu" });
        entry.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        let container = json!({ "name": "c", "image": "i", "resources": { "claims": [{ "name": "gpu" }] } });
        let spec = json!({ "containers": [container], "resourceClaims": [entry], "terminationGracePeriodSeconds": 0 });
        self.create(json!({ "metadata": { "name": name }, "spec": spec })).await
    }

    /// The claim that was made for the pod, once the pod was told of it.
    async fn made_for(&self, pod: &str) -> ResourceClaim {
        self.until(&format!("claim of {pod}"), async || {
            let pod = self.api::<Pod>().get(pod).await.unwrap();
            let statuses = pod.status?.resource_claim_statuses?;
            self.api::<ResourceClaim>().get_opt(statuses[0].resource_claim_name.as_deref()?).await.unwrap()
        })
        .await
    }

    /// As the scheduler does: finalizer, devices, users.
    async fn allocate(&self, name: &str, users: &[&Pod]) -> ResourceClaim {
        let mut claim = self.api::<ResourceClaim>().get(name).await.unwrap();
        claim.finalizers_mut().push(FINALIZER.to_owned());
        let mut claim = self.api().replace(name, &PostParams::default(), &claim).await.unwrap();
        let result = json!({ "request": "r", "driver": "gpu.example.com", "pool": "n1", "device": "gpu-0" });
        let user = |pod: &&Pod| json!({ "resource": "pods", "name": pod.name_any(), "uid": pod.uid() });
        let users: Vec<Value> = users.iter().map(user).collect();
        let status = json!({ "allocation": { "devices": { "results": [result] } }, "reservedFor": users });
        claim.status = serde_json::from_value(status).unwrap();
        self.api().replace_status(name, &PostParams::default(), &claim).await.unwrap()
    }

    async fn ends(&self, pod: &str) {
        self.patch_status::<Pod>(pod, json!({ "status": { "phase": "Succeeded" } })).await;
    }

    async fn patch_status<K>(&self, name: &str, patch: Value) -> K
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let patch = kube::api::Patch::Merge(patch);
        self.api::<K>().patch_status(name, &kube::api::PatchParams::default(), &patch).await.unwrap()
    }

    async fn is_gone(&self, claim: &str) {
        self.until(&format!("{claim} gone"), async || {
            self.api::<ResourceClaim>().get_opt(claim).await.unwrap().is_none().then_some(())
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_made_from_the_template_and_is_the_pods() {
    let world = World::start().await;
    world.claim_template("t").await;
    let pod = world.pod_with("web", json!({ "resourceClaimTemplateName": "t" })).await;
    let claim = world.made_for("web").await;
    assert!(claim.name_any().starts_with("web-gpu-"), "{}", claim.name_any());
    assert_eq!(claim.annotations()["resource.kubernetes.io/pod-claim-name"], "gpu");
    assert_eq!(claim.labels()["app"], "web");
    let owner = &claim.owner_references()[0];
    assert_eq!(
        (owner.kind.as_str(), Some(&owner.uid), owner.controller),
        ("Pod", pod.metadata.uid.as_ref(), Some(true))
    );
    assert_eq!(claim.spec.devices.unwrap().requests.unwrap()[0].name, "r");
    assert_eq!(world.list::<ResourceClaim>().await.len(), 1, "one, however often it was looked at");
    // What was deleted by mistake is made again.
    let name = claim.metadata.name.unwrap();
    world.api::<ResourceClaim>().delete(&name, &DeleteParams::default()).await.unwrap();
    world
        .until("another", async || {
            let claims = world.list::<ResourceClaim>().await;
            claims.iter().any(|claim| claim.name_any() != name).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_without_its_template_says_so_and_waits() {
    let world = World::start().await;
    world.pod_with("web", json!({ "resourceClaimTemplateName": "t" })).await;
    let event: Event = world
        .until("event", async || {
            let events = world.list::<Event>().await;
            events.into_iter().find(|event| event.reason.as_deref() == Some("FailedResourceClaimCreation"))
        })
        .await;
    assert_eq!(
        event.message.as_deref(),
        Some(
            "PodResourceClaim gpu: resource claim template \"t\": resourceclaimtemplate.resource.k8s.io \"t\" not found"
        )
    );
    world.claim_template("t").await;
    world.made_for("web").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_goes_with_the_pod_that_it_was_made_for() {
    let world = World::start().await;
    world.claim_template("t").await;
    let pod = world.pod_with("web", json!({ "resourceClaimTemplateName": "t" })).await;
    let claim = world.made_for("web").await.name_any();
    world.allocate(&claim, &[&pod]).await;
    world.api::<Pod>().delete("web", &DeleteParams::default()).await.unwrap();
    world.is_gone(&claim).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_has_ended_needs_its_claim_no_longer() {
    let world = World::start().await;
    world.claim_template("t").await;
    let pod = world.pod_with("web", json!({ "resourceClaimTemplateName": "t" })).await;
    let claim = world.made_for("web").await.name_any();
    world.allocate(&claim, &[&pod]).await;
    world.ends("web").await;
    world.is_gone(&claim).await;
    assert!(world.api::<Pod>().get_opt("web").await.unwrap().is_some(), "the pod is there");
}

#[tokio::test(start_paused = true)]
async fn a_shared_claim_gives_its_devices_back_when_the_last_pod_is_done() {
    let world = World::start().await;
    world.device_claim("c").await;
    let (a, b) = (
        world.pod_with("a", json!({ "resourceClaimName": "c" })).await,
        world.pod_with("b", json!({ "resourceClaimName": "c" })).await,
    );
    world.allocate("c", &[&a, &b]).await;
    world.ends("a").await;
    let claim = world
        .until("a out of it", async || {
            let claim = world.api::<ResourceClaim>().get("c").await.unwrap();
            let users = claim.status.as_ref()?.reserved_for.as_ref()?.len();
            (users == 1).then_some(claim)
        })
        .await;
    let status = claim.status.as_ref().unwrap();
    assert!(status.allocation.is_some() && claim.finalizers() == [FINALIZER], "the other pod has them");
    assert_eq!(status.reserved_for.as_ref().unwrap()[0].name, "b");
    world.api::<Pod>().delete("b", &DeleteParams::default()).await.unwrap();
    world
        .until("deallocated", async || {
            let claim = world.api::<ResourceClaim>().get("c").await.unwrap();
            let is_free = claim.status.as_ref().is_none_or(|status| status.allocation.is_none());
            (is_free && claim.finalizers().is_empty()).then_some(())
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_allocated_claim_that_is_deleted_stays_while_it_is_used() {
    let world = World::start().await;
    world.device_claim("c").await;
    let pod = world.pod_with("a", json!({ "resourceClaimName": "c" })).await;
    world.allocate("c", &[&pod]).await;
    world.api::<ResourceClaim>().delete("c", &DeleteParams::default()).await.unwrap();
    let claim = world.api::<ResourceClaim>().get("c").await.unwrap();
    assert!(claim.metadata.deletion_timestamp.is_some() && claim.status.unwrap().allocation.is_some());
    world.ends("a").await;
    world.is_gone("c").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_allocated_and_not_used_yet_keeps_its_devices() {
    let world = World::start().await;
    world.device_claim("c").await;
    world.allocate("c", &[]).await;
    world.device_claim("d").await;
    let pod = world.pod_with("a", json!({ "resourceClaimName": "d" })).await;
    world.allocate("d", &[&pod]).await;
    world.ends("a").await;
    world
        .until("the other deallocated", async || {
            let claim = world.api::<ResourceClaim>().get("d").await.unwrap();
            claim.status.as_ref().is_none_or(|status| status.allocation.is_none()).then_some(())
        })
        .await;
    assert!(world.api::<ResourceClaim>().get("c").await.unwrap().status.unwrap().allocation.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_put_on_its_node_is_noted_as_one_that_uses_its_claims() {
    let world = World::start().await;
    world.device_claim("c").await;
    world.allocate("c", &[]).await;
    let container = json!({ "name": "c", "image": "i" });
    let spec = json!({ "nodeName": "n1", "containers": [container],
        "resourceClaims": [{ "name": "gpu", "resourceClaimName": "c" }] });
    world.create::<Pod>(json!({ "metadata": { "name": "a" }, "spec": spec })).await;
    world
        .until("reserved", async || {
            let claim = world.api::<ResourceClaim>().get("c").await.unwrap();
            let users = claim.status?.reserved_for?;
            (users[0].name == "a").then_some(())
        })
        .await;
}
