//! What has to be done about a pod's claims of devices before it is bound, and undone if it is not.

use std::{ops::ControlFlow, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::{
    api::{
        core::v1::Pod,
        resource::v1::{AllocationResult, ResourceClaim},
    },
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    device::{FINALIZER, allocation, is_reserved_for, pod_user},
    event_recorder::EventType,
    scheduler::{Binding, Cause, ClaimAllocation, ExtendedClaim, Placement, PodInfo, Snapshot},
};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{super::default_binder::words, DynamicResources, delete::delete, metrics, readiness};
use crate::framework::PreBind;

/// How often a write is tried that others get ahead of, as in client-go's `retry.DefaultRetry`.
const ATTEMPTS: usize = 5;

/// Why a claim was not written.
enum Refused {
    /// Somebody else wrote first.
    Conflict(String),
    /// In the words that users are told.
    Failed(String),
}

impl Refused {
    fn of(what: &str, error: &kube::Error) -> Self {
        let text = format!("{what}: {}", words(error));
        match error {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict(text),
            _ => Self::Failed(text),
        }
    }
}

#[async_trait]
impl PreBind for DynamicResources {
    fn is_needed(&self, _: &PodInfo, placement: &Placement) -> bool {
        !placement.claims.is_empty()
    }

    /// Writes which devices the pod's claims get, and that the pod uses them; then waits until they are ready.
    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String> {
        let mut written = Vec::new();
        for decided in &binding.placement.claims {
            // Held for all that is written of a claim.
            let _turn = binding.context.writes().acquire().await;
            written.push(match &decided.make {
                Some(extended) => make(binding, decided, extended).await?,
                None => bind_claim(binding, decided).await?,
            });
        }
        if !written.iter().any(readiness::has_conditions) {
            return Ok(());
        }
        let (since, ready) = (Instant::now(), self.until_ready(binding, &written).await);
        let outcome = match &ready {
            Ok(()) => metrics::Outcome::Success,
            Err(NotReady::Late(_)) => metrics::Outcome::Timeout,
            Err(NotReady::Failed(_)) => metrics::Outcome::Failure,
        };
        metrics::waited(binding.pod.scheduler_name(), &written, outcome, since.elapsed());
        ready.map_err(|(NotReady::Late(why) | NotReady::Failed(why))| why)
    }

    /// Notes that the pod does not use its claims any more. Their devices they keep, so that its next attempt finds them. What was made for its
    /// extended resources is deleted.
    async fn undo(&self, binding: Binding<'_>) {
        if let Some(made) = binding.context.made_claim() {
            let api = api(binding, &made);
            let deleted = async {
                match api.get_opt(made.name()).await? {
                    Some(claim) => delete(&api, claim).await,
                    None => Ok(()),
                }
            };
            if let Err(error) = deleted.await {
                // The pod's next attempt finds it.
                warn!(pod = %binding.pod.key(), claim = %made, error = words(&error), "the claim is not deleted");
            }
        }
        for decided in binding.placement.claims.iter().filter(|decided| decided.make.is_none()) {
            if let Err(Refused::Conflict(error) | Refused::Failed(error)) = give_up(binding, decided).await {
                // The controller of claims does it when the pod is gone.
                warn!(pod = %binding.pod.key(), claim = %decided.claim, error, "the claim is still reserved");
            }
        }
    }
}

/// Why devices are not ready.
enum NotReady {
    Late(String),
    Failed(String),
}

impl DynamicResources {
    /// Waits for one claim after the other. What is late or has failed is found again by the pod's next attempt, which has it give its devices
    /// back.
    async fn until_ready(&self, binding: Binding<'_>, claims: &[ResourceClaim]) -> Result<(), NotReady> {
        let Binding { pod, placement, context, .. } = binding;
        let message = format!("waiting for binding conditions for device on node {}", placement.node);
        context.recorder().action(&**pod.pod(), EventType::Normal, "BindingConditionsPending", "Scheduling", message);
        let began = Instant::now();
        for claim in claims {
            let left = self.binding_timeout.saturating_sub(began.elapsed());
            // Of one that others share, the time began with the first of them.
            let own = readiness::time_left(claim, self.binding_timeout, context.clock().now());
            let (patience, late) = match own.filter(|own| *own <= left) {
                Some(own) => (own, format!("claim {} binding timeout", claim.name_any())),
                None => (left, "device binding timeout".to_owned()),
            };
            let key = ObjectKey::of(claim);
            let mut look = |snapshot: &Snapshot| match look(snapshot, &key) {
                Ok(true) => ControlFlow::Break(Ok(())),
                Ok(false) => ControlFlow::Continue(vec![Cause::object::<ResourceClaim>(key.clone())]),
                Err(why) => ControlFlow::Break(Err(why)),
            };
            match timeout(patience, context.until(&mut look)).await {
                Ok(ended) => ended.map_err(NotReady::Failed)?,
                Err(_) => return Err(NotReady::Late(late)),
            }
        }
        Ok(())
    }
}

fn look(snapshot: &Snapshot, key: &ObjectKey) -> Result<bool, String> {
    let claim = snapshot.objects().get::<ResourceClaim>(key).map(Arc::as_ref);
    let claim = claim.ok_or_else(|| format!("could not find claim \"{key}\""))?;
    readiness::is_ready(claim)
}

fn api(binding: Binding<'_>, claim: &ObjectKey) -> Api<ResourceClaim> {
    Api::namespaced(binding.client.clone(), claim.namespace().unwrap_or_default())
}

/// Makes the claim of the pod's extended resources, and tells the pod of it.
async fn make(
    binding: Binding<'_>,
    decided: &ClaimAllocation,
    extended: &ExtendedClaim,
) -> Result<ResourceClaim, String> {
    let pod = binding.pod;
    let mut claim = extended.claim.clone();
    (claim.metadata.name, claim.metadata.uid) = (None, None);
    let made = api(binding, &decided.claim).create(&PostParams::default(), &claim).await;
    metrics::made(made.is_ok());
    let namespace = pod.key().namespace().unwrap_or_default();
    let made = made.map_err(|error| format!("create claim for extended resources {namespace}/: {}", words(&error)))?;
    binding.context.claim_made(&decided.claim, &made);
    let (claim, uid) = (ObjectKey::of(&made), made.metadata.uid.unwrap_or_default());
    let decided = ClaimAllocation { claim, uid, allocation: decided.allocation.clone(), make: None };
    let written = bind_claim(binding, &decided).await?;
    let status = json!({ "extendedResourceClaimStatus": {
        "resourceClaimName": decided.claim.name(), "requestMappings": extended.requests,
    } });
    let patch = Patch::Merge(json!({ "metadata": { "uid": pod.pod().metadata.uid }, "status": status }));
    let pods = Api::<Pod>::namespaced(binding.client.clone(), namespace);
    let told = pods.patch_status(pod.key().name(), &PatchParams::default(), &patch).await;
    told.map_err(|error| format!("update pod {} ExtendedResourceClaimStatus: {}", pod.key(), words(&error)))?;
    Ok(written)
}

async fn bind_claim(binding: Binding<'_>, decided: &ClaimAllocation) -> Result<ResourceClaim, String> {
    let api = api(binding, &decided.claim);
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        let claim = api.get(decided.claim.name()).await;
        let claim = claim.map_err(|error| format!("get claim {}: {}", decided.claim, words(&error)))?;
        match write(&api, binding, decided, claim).await {
            Ok(written) => {
                let version = written.resource_version().unwrap_or_default();
                binding.context.devices_written(&decided.claim, &version);
                return Ok(written);
            }
            Err(Refused::Failed(why)) => return Err(why),
            Err(Refused::Conflict(why)) => last = why,
        }
    }
    Err(last)
}

async fn write(
    api: &Api<ResourceClaim>,
    binding: Binding<'_>,
    decided: &ClaimAllocation,
    mut claim: ResourceClaim,
) -> Result<ResourceClaim, Refused> {
    let (key, name, params) = (&decided.claim, decided.claim.name(), PostParams::default());
    let pod = binding.pod;
    if claim.metadata.deletion_timestamp.is_some() || claim.metadata.uid.as_ref() != Some(&decided.uid) {
        return Err(Refused::Failed(format!("claim {key} got deleted in the meantime")));
    }
    let (is_allocated, is_reserved) = (allocation(&claim).is_some(), is_reserved_for(&claim, pod.id()));
    match &decided.allocation {
        // An attempt before this one wrote it, and its answer was lost.
        Some(wanted) if is_reserved && has(&claim, wanted) => return Ok(claim),
        Some(_) if is_allocated => {
            return Err(Refused::Failed(format!("claim {key} got allocated elsewhere in the meantime")));
        }
        None if is_reserved => return Ok(claim),
        _ => {}
    }
    if decided.allocation.is_some() && !claim.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        claim.finalizers_mut().push(FINALIZER.to_owned());
        let added = api.replace(name, &params, &claim).await;
        claim = added.map_err(|error| Refused::of(&format!("add finalizer to claim {key}"), &error))?;
    }
    let status = claim.status.get_or_insert_default();
    let what = match &decided.allocation {
        Some(allocation) => {
            status.allocation = Some(allocation.clone());
            "add allocation and reservation to claim"
        }
        None => "add reservation to claim",
    };
    if let Some(allocation) = &mut status.allocation {
        allocation.allocation_timestamp.get_or_insert_with(|| Time(binding.context.clock().now()));
    }
    status.reserved_for.get_or_insert_default().push(pod_user(pod.key().name(), pod.id()));
    let written = api.replace_status(name, &params, &claim).await;
    written.map_err(|error| Refused::of(&format!("{what} {key}"), &error))
}

/// Whether the claim has these devices, since whenever.
fn has(claim: &ResourceClaim, wanted: &AllocationResult) -> bool {
    allocation(claim).is_some_and(|known| {
        let allocation_timestamp = known.allocation_timestamp.clone();
        *known == AllocationResult { allocation_timestamp, ..wanted.clone() }
    })
}

async fn give_up(binding: Binding<'_>, decided: &ClaimAllocation) -> Result<(), Refused> {
    let (api, pod, name) = (api(binding, &decided.claim), binding.pod, decided.claim.name());
    let mut last = Refused::Conflict(String::new());
    for _ in 0..ATTEMPTS {
        let found = api.get_opt(name).await.map_err(|error| Refused::of("get claim", &error))?;
        let Some(mut claim) = found.filter(|claim| claim.metadata.uid.as_ref() == Some(&decided.uid)) else {
            return Ok(());
        };
        if !is_reserved_for(&claim, pod.id()) {
            return Ok(());
        }
        let users = claim.status.as_mut().and_then(|status| status.reserved_for.as_mut());
        users.into_iter().for_each(|users| users.retain(|user| *user.uid != **pod.id()));
        let written = api.replace_status(name, &PostParams::default(), &claim).await;
        match written.map_err(|error| Refused::of("remove reservation from claim", &error)) {
            Ok(_) => return Ok(()),
            Err(refused @ Refused::Failed(_)) => return Err(refused),
            Err(conflict) => last = conflict,
        }
    }
    Err(last)
}
