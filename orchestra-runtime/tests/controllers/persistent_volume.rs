use k8s_openapi::api::{
    core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::world::World;

impl World {
    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    async fn volume(&self, name: &str, size: &str, spec: Value) {
        let mut whole =
            json!({"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let volume = serde_json::from_value(json!({"metadata": {"name": name}, "spec": whole})).unwrap();
        self.volumes().create(&PostParams::default(), &volume).await.unwrap();
    }

    async fn claim(&self, name: &str, size: &str, spec: Value) -> PersistentVolumeClaim {
        let mut whole = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.create(json!({"metadata": {"name": name}, "spec": whole})).await
    }

    async fn class(&self, name: &str, provisioner: &str, binding: &str, annotations: Value) {
        let class = json!({"metadata": {"name": name, "annotations": annotations}, "provisioner": provisioner,
            "volumeBindingMode": binding});
        let class = serde_json::from_value::<StorageClass>(class).unwrap();
        Api::all(self.client.clone()).create(&PostParams::default(), &class).await.unwrap();
    }

    /// Waits until the claim has the phase.
    async fn claim_is(&self, name: &str, phase: &str) -> PersistentVolumeClaim {
        self.until(&format!("{name} {phase}"), async || {
            let claim = self.api::<PersistentVolumeClaim>().get_opt(name).await.unwrap()?;
            (claim.status.as_ref()?.phase.as_deref() == Some(phase)).then_some(claim)
        })
        .await
    }

    async fn volume_is(&self, name: &str, phase: &str) -> PersistentVolume {
        self.until(&format!("{name} {phase}"), async || {
            let volume = self.volumes().get_opt(name).await.unwrap()?;
            (volume.status.as_ref()?.phase.as_deref() == Some(phase)).then_some(volume)
        })
        .await
    }

    /// Waits for an event about the object, and returns its type and message.
    async fn event(&self, object: &str, reason: &str) -> (String, String) {
        self.until(&format!("event {reason} of {object}"), async || {
            let events = self.all_events().await;
            let event = events.into_iter().find(|event| {
                event.involved_object.name.as_deref() == Some(object) && event.reason.as_deref() == Some(reason)
            })?;
            assert_eq!(event.source?.component.as_deref(), Some("persistentvolume-controller"));
            Some((event.type_?, event.message?))
        })
        .await
    }

    async fn all_events(&self) -> Vec<Event> {
        Api::<Event>::all(self.client.clone()).list(&Default::default()).await.unwrap().items
    }

    async fn delete_claim(&self, name: &str) {
        self.api::<PersistentVolumeClaim>().delete(name, &DeleteParams::default()).await.unwrap();
    }
}

fn volume_of(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default()
}

fn warning(message: &str) -> (String, String) {
    ("Warning".to_owned(), message.to_owned())
}

fn normal(message: &str) -> (String, String) {
    ("Normal".to_owned(), message.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_bound_to_the_smallest_volume_that_fits_and_both_say_so() {
    let world = World::start().await;
    for (name, size) in [("large", "5Gi"), ("small", "1Gi"), ("right", "2Gi")] {
        world.volume(name, size, json!({})).await;
        world.volume_is(name, "Available").await;
    }
    let made = world.claim("c", "2Gi", json!({})).await;
    let claim = world.claim_is("c", "Bound").await;
    assert_eq!(volume_of(&claim), "right");
    let status = claim.status.clone().unwrap();
    assert_eq!(status.capacity.unwrap()["storage"].0, "2Gi");
    assert_eq!(status.access_modes.unwrap(), ["ReadWriteOnce"]);
    let done = ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"];
    assert!(done.iter().all(|key| claim.annotations()[*key] == "yes"));

    let volume = world.volume_is("right", "Bound").await;
    assert_eq!(volume.annotations().keys().collect::<Vec<_>>(), [done[1]]);
    let reference = volume.spec.unwrap().claim_ref.unwrap();
    assert_eq!((reference.name, reference.uid), (Some("c".to_owned()), made.metadata.uid));
    world.volume_is("large", "Available").await;
}

#[tokio::test(start_paused = true)]
async fn a_claim_without_a_volume_says_what_it_waits_for_and_gets_the_one_that_comes() {
    let world = World::start().await;
    world.class("fast", "example.org/disks", "Immediate", json!({})).await;
    world.class("by-hand", "kubernetes.io/no-provisioner", "Immediate", json!({})).await;
    for (name, class) in [("none", ""), ("unknown", "what"), ("fast", "fast"), ("by-hand", "by-hand")] {
        world.claim(name, "1Gi", json!({"storageClassName": class})).await;
    }
    let none = "no persistent volumes available for this claim and no storage class is set";
    assert_eq!(world.event("none", "FailedBinding").await, normal(none));
    let unknown = r#"storageclass.storage.k8s.io "what" not found"#;
    assert_eq!(world.event("unknown", "ProvisioningFailed").await, warning(unknown));
    let by_hand = "no volume plugin matched name: kubernetes.io/no-provisioner";
    assert_eq!(world.event("by-hand", "ProvisioningFailed").await, warning(by_hand));
    let (_, external) = world.event("fast", "ExternalProvisioning").await;
    let expected = "Waiting for a volume to be created either by the external provisioner 'example.org/disks' or manually \
                    by the system administrator. If volume creation is delayed, please verify that the provisioner is \
                    running and correctly registered.";
    assert_eq!(external, expected);
    let claim = world.claim_is("fast", "Pending").await;
    assert_eq!(claim.annotations()["volume.kubernetes.io/storage-provisioner"], "example.org/disks");

    world.volume("v", "1Gi", json!({})).await;
    assert_eq!(volume_of(&world.claim_is("none", "Bound").await), "v");
    world.volume("w", "1Gi", json!({"storageClassName": "by-hand"})).await;
    assert_eq!(volume_of(&world.claim_is("by-hand", "Bound").await), "w");
}

#[tokio::test(start_paused = true)]
async fn a_claim_gets_the_class_that_becomes_the_default() {
    let world = World::start().await;
    world.claim("c", "1Gi", json!({})).await;
    world.event("c", "FailedBinding").await;
    let is_default = json!({"storageclass.kubernetes.io/is-default-class": "true"});
    world.class("standard", "example.org/disks", "Immediate", is_default).await;
    world.event("c", "ExternalProvisioning").await;
    let claim = world.claim_is("c", "Pending").await;
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some("standard"));
}

#[tokio::test(start_paused = true)]
async fn volumes_and_claims_that_name_each_other_beforehand_find_together() {
    let world = World::start().await;
    world.volume("kept", "9Gi", json!({"claimRef": {"namespace": "default", "name": "owner"}})).await;
    world.volume("free", "1Gi", json!({})).await;
    assert_eq!(
        volume_of(&{
            world.claim("owner", "1Gi", json!({})).await;
            world.claim_is("owner", "Bound").await
        }),
        "kept"
    );
    let kept = world.volume_is("kept", "Bound").await;
    assert!(kept.annotations().is_empty(), "who made it set the pointer");

    world.claim("picky", "1Gi", json!({"volumeName": "kept"})).await;
    assert_eq!(
        world.event("picky", "FailedBinding").await,
        warning(r#"volume "kept" already bound to a different claim."#)
    );
    world.claim("greedy", "2Gi", json!({"volumeName": "free"})).await;
    assert_eq!(
        world.event("greedy", "VolumeMismatch").await,
        warning(r#"Cannot bind to requested volume "free": requested PV is too small"#)
    );
    world.claim("modest", "1Gi", json!({"volumeName": "free"})).await;
    assert_eq!(volume_of(&world.claim_is("modest", "Bound").await), "free");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_waits_for_its_first_consumer_is_left_alone_until_its_volume_is_reserved() {
    let world = World::start().await;
    world.class("local", "kubernetes.io/no-provisioner", "WaitForFirstConsumer", json!({})).await;
    world.volume("v", "1Gi", json!({"storageClassName": "local"})).await;
    world.volume_is("v", "Available").await;
    world.claim("c", "1Gi", json!({"storageClassName": "local"})).await;
    let message = "waiting for first consumer to be created before binding";
    assert_eq!(world.event("c", "WaitForFirstConsumer").await, normal(message));
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]);
    let spec = json!({"containers": [{"name": "main", "image": "i"}], "volumes": volumes});
    world.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    assert_eq!(world.event("c", "WaitForPodScheduled").await, normal("waiting for pod p to be scheduled"));
    world.volume_is("v", "Available").await;

    let claim = world.claim_is("c", "Pending").await;
    let reference = json!({"namespace": "default", "name": "c", "uid": claim.metadata.uid});
    let reserve = Patch::Merge(json!({"spec": {"claimRef": reference}}));
    world.volumes().patch("v", &PatchParams::default(), &reserve).await.unwrap();
    assert_eq!(volume_of(&world.claim_is("c", "Bound").await), "v");
}

#[tokio::test(start_paused = true)]
async fn a_volume_whose_claim_is_gone_is_released_and_kept_unless_it_should_be_deleted() {
    let world = World::start().await;
    let failures = [
        ("Retain", "Released", None),
        (
            "Delete",
            "Failed",
            Some((
                "VolumeFailedDelete",
                r#"error getting deleter volume plugin for volume "delete": no deletable volume plugin matched"#,
            )),
        ),
        ("Recycle", "Failed", Some(("VolumeFailedRecycle", "No recycler plugin found for the volume!"))),
    ];
    for (policy, phase, event) in failures {
        let name = policy.to_lowercase();
        world.volume(&name, "1Gi", json!({"persistentVolumeReclaimPolicy": policy})).await;
        world.claim(&name, "1Gi", json!({"volumeName": name})).await;
        world.claim_is(&name, "Bound").await;
        world.delete_claim(&name).await;
        let volume = world.volume_is(&name, phase).await;
        assert_eq!(volume.status.unwrap().message.as_deref(), event.map(|(_, message)| message));
        if let Some((reason, message)) = event {
            assert_eq!(world.event(&name, reason).await, warning(message));
        }
    }
    // A new claim of the name is another one.
    world.claim("retain", "1Gi", json!({})).await;
    world.event("retain", "FailedBinding").await;
    let free = Patch::Merge(json!({"spec": {"claimRef": null}}));
    world.volumes().patch("retain", &PatchParams::default(), &free).await.unwrap();
    assert_eq!(volume_of(&world.claim_is("retain", "Bound").await), "retain");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_has_lost_its_volume_says_so() {
    let world = World::start().await;
    world.volume("v", "1Gi", json!({})).await;
    world.claim("c", "1Gi", json!({})).await;
    world.claim_is("c", "Bound").await;
    world.volumes().delete("v", &DeleteParams::default()).await.unwrap();
    let volume = world.volume_is("v", "Bound").await;
    assert!(volume.metadata.deletion_timestamp.is_some(), "a bound volume is held");
    let let_go = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    world.volumes().patch("v", &PatchParams::default(), &let_go).await.unwrap();
    let claim = world.claim_is("c", "Lost").await;
    assert_eq!(claim.status.unwrap().capacity, None);
    let message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
    assert_eq!(world.event("c", "ClaimLost").await, warning(message));
}

#[tokio::test(start_paused = true)]
async fn a_claim_in_use_and_its_volume_stay_until_the_pod_is_gone() {
    let world = World::start().await;
    world.volume("v", "1Gi", json!({})).await;
    world.claim("c", "1Gi", json!({})).await;
    world.claim_is("c", "Bound").await;
    let volumes = json!([{"name": "data", "persistentVolumeClaim": {"claimName": "c"}}]);
    let spec = json!({"containers": [{"name": "main", "image": "i"}], "volumes": volumes, "nodeName": "n1"});
    world.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    world.delete_claim("c").await;
    world.volumes().delete("v", &DeleteParams::default()).await.unwrap();
    // Another claim goes at once, so the controllers have had their turn.
    world.claim("unused", "1Gi", json!({})).await;
    world.event("unused", "FailedBinding").await;
    world.delete_claim("unused").await;
    let claims = world.api::<PersistentVolumeClaim>();
    world.until("unused gone", async || claims.get_opt("unused").await.unwrap().is_none().then_some(())).await;
    assert!(claims.get("c").await.unwrap().metadata.deletion_timestamp.is_some());

    world.api::<Pod>().delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
    world.until("c gone", async || claims.get_opt("c").await.unwrap().is_none().then_some(())).await;
    world.until("v gone", async || world.volumes().get_opt("v").await.unwrap().is_none().then_some(())).await;
}
