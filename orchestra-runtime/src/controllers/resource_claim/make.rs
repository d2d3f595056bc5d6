use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{Pod, PodResourceClaim},
    resource::v1::{ResourceClaim, ResourceClaimTemplate},
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    device::{ClaimError, MAX_USERS, allocation, claim_name, is_made_for, is_reserved_for, pod_user, reserved_for},
    event_recorder::{EventRecorder, EventType},
    informer::Informer,
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    super::{api_error, ownership},
    entries, is_done, pods_by_claim, users,
};
use crate::lean_pod::LeanPod;

/// Says of a claim which of its pod's entries it was made for.
const ENTRY: &str = "resource.kubernetes.io/pod-claim-name";
/// The most characters of a name before the suffix that the API server adds: so the whole is a label.
const MAX_PREFIX: usize = 57;

/// Makes the claims of pods that name a template, and tells the pods of them; reserves claims for pods that came to their node without
/// the scheduler.
pub struct ResourceClaimController {
    client: Client,
    pods: Informer<LeanPod>,
    claims: Informer<ResourceClaim>,
    templates: Informer<ResourceClaimTemplate>,
    recorder: EventRecorder,
    /// The names of claims that were made, by pod and entry: the informer may not have heard of them yet.
    made: Mutex<BTreeMap<(ObjectKey, String), String>>,
}

impl ResourceClaimController {
    /// A controller of all pods. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let claims = context.informers.informer::<ResourceClaim>();
        ownership::add_indexes(&claims);
        Self {
            client: context.client.clone(),
            pods: pods_by_claim(&context.informers),
            claims,
            templates: context.informers.informer(),
            recorder: context.recorder("resource_claim"),
            made: Mutex::default(),
        }
    }

    async fn sync(&self, pod: &Pod) -> Result<(), String> {
        let mut statuses: Vec<Value> = Vec::new();
        for entry in entries(pod) {
            match self.provide(pod, entry).await {
                Ok(Some(made)) => statuses.push(json!({ "name": entry.name, "resourceClaimName": made })),
                Ok(None) => {}
                Err(why) => {
                    let message = format!("PodResourceClaim {}: {why}", entry.name);
                    self.recorder.event(pod, EventType::Warning, "FailedResourceClaimCreation", message.as_str());
                    return Err(format!("pod {}, {message}", ObjectKey::of(pod)));
                }
            }
        }
        if !statuses.is_empty() {
            let patch =
                json!({ "metadata": { "uid": pod.metadata.uid }, "status": { "resourceClaimStatuses": statuses } });
            self.pods_of(pod)
                .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch))
                .await
                .map_err(|error| format!("update pod {} ResourceClaimStatuses: {error}", ObjectKey::of(pod)))?;
            // The pod comes here again with its new status.
            return Ok(());
        }
        if pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            self.reserve_all(pod).await?;
        }
        Ok(())
    }

    /// The name of the claim if the pod is to be told of it.
    async fn provide(&self, pod: &Pod, entry: &PodResourceClaim) -> Result<Option<String>, String> {
        match claim_name(pod, entry) {
            Err(ClaimError::NotCreated { .. }) => {}
            Err(error) => return Err(format!("checking for claim before creating it: {error}")),
            // None is needed.
            Ok(None) => return Ok(None),
            Ok(Some(name)) => {
                let claim = self.claims.get(&ObjectKey::new(pod.metadata.namespace.as_deref(), name));
                let is_own =
                    entry.resource_claim_name.is_some() || claim.as_ref().is_some_and(|claim| is_made_for(claim, pod));
                if is_own && claim.is_some() {
                    return Ok(None);
                }
            }
        }
        let Some(template) = &entry.resource_claim_template_name else { return Ok(None) };
        if let Some(known) = self.known(pod, entry).await? {
            return Ok(Some(known));
        }
        let made = self.make(pod, entry, template).await?;
        self.made.lock().insert((ObjectKey::of(pod), entry.name.clone()), made.clone());
        Ok(Some(made))
    }

    /// A claim that was made for the entry before, of which the pod was not told.
    async fn known(&self, pod: &Pod, entry: &PodResourceClaim) -> Result<Option<String>, String> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let is_it = |claim: &ResourceClaim| claim.annotations().get(ENTRY) == Some(&entry.name);
        let owned = ownership::controlled_by(&self.claims, uid);
        if let Some(claim) = owned.iter().find(|claim| is_it(claim)) {
            return Ok(Some(claim.name_any()));
        }
        let made = self.made.lock().get(&(ObjectKey::of(pod), entry.name.clone())).cloned();
        let Some(name) = made else { return Ok(None) };
        let found = self.claims_of(pod).get_opt(&name).await.map_err(|error| format!("retrieve claim: {error}"))?;
        Ok(found.filter(|claim| is_made_for(claim, pod)).map(|claim| claim.name_any()))
    }

    async fn make(&self, pod: &Pod, entry: &PodResourceClaim, template: &str) -> Result<String, String> {
        let key = ObjectKey::new(pod.metadata.namespace.as_deref(), template);
        let found = self.templates.get(&key).ok_or_else(|| {
            let not_found = format!("resourceclaimtemplate.resource.k8s.io {template:?} not found");
            format!("resource claim template {template:?}: {not_found}")
        })?;
        let mut claim = ResourceClaim { spec: found.spec.spec.clone(), ..ResourceClaim::default() };
        let (said, metadata) = (found.spec.metadata.clone().unwrap_or_default(), &mut claim.metadata);
        metadata.generate_name = Some(prefix(&pod.name_any(), &entry.name));
        metadata.labels = said.labels;
        metadata.annotations = said.annotations;
        metadata.annotations.get_or_insert_default().insert(ENTRY.to_owned(), entry.name.clone());
        metadata.owner_references = Some(vec![ownership::controller_reference(pod)]);
        let created = self.claims_of(pod).create(&PostParams::default(), &claim).await;
        created.map(|claim| claim.name_any()).map_err(|error| format!("create ResourceClaim : {error}"))
    }

    /// Whoever put the pod on its node did not say that it uses its claims.
    async fn reserve_all(&self, pod: &Pod) -> Result<(), String> {
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        let claims = super::claims(pod).into_iter().filter_map(|key| self.claims.get(&key));
        let is_open = |claim: &Arc<ResourceClaim>| {
            allocation(claim).is_some() && !is_reserved_for(claim, uid) && reserved_for(claim).len() < MAX_USERS
        };
        for claim in claims.filter(is_open) {
            let mut changed = (*claim).clone();
            let users = changed.status.get_or_insert_default().reserved_for.get_or_insert_default();
            users.push(pod_user(&pod.name_any(), uid));
            let written = self.claims_of(pod).replace_status(&claim.name_any(), &PostParams::default(), &changed).await;
            match written {
                // A newer state will come, and bring the pod here again.
                Err(error) if api_error::is_conflict(&error) || api_error::is_not_found(&error) => {}
                other => {
                    drop(other.map_err(|error| format!("reserve claim {} for pod: {error}", ObjectKey::of(&*claim)))?)
                }
            }
        }
        Ok(())
    }

    fn claims_of(&self, pod: &Pod) -> Api<ResourceClaim> {
        Api::namespaced(self.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default())
    }

    fn pods_of(&self, pod: &Pod) -> Api<Pod> {
        Api::namespaced(self.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default())
    }
}

/// What a claim's name begins with: the pod's and the entry's name, both cut in proportion if they are long together.
fn prefix(pod: &str, entry: &str) -> String {
    let whole = format!("{pod}-{entry}-");
    if whole.len() <= MAX_PREFIX {
        return whole;
    }
    let cut = |name: &str| name.chars().take(name.len() * MAX_PREFIX / whole.len()).collect::<String>();
    format!("{}-{}", cut(pod), cut(entry))
}

#[async_trait]
impl Controller for ResourceClaimController {
    fn name(&self) -> &str {
        "resourceclaim"
    }

    fn watches(&self) -> Vec<Watch> {
        let (by_claim, by_template) = (self.pods.clone(), self.pods.clone());
        vec![
            Watch::objects(&self.pods),
            Watch::mapped(&self.claims, move |change| {
                let using = users(&by_claim, &ObjectKey::of(&**change.object()));
                using.iter().map(|pod| ObjectKey::of(&**pod)).collect()
            }),
            // Who waits for a template need not wait for the end of a back-off.
            Watch::mapped(&self.templates, move |change| {
                let template = change.object();
                let names_it = |entry: &PodResourceClaim| entry.resource_claim_template_name == template.metadata.name;
                let pods = by_template.list_namespace(template.metadata.namespace.as_deref().unwrap_or_default());
                let waiting = pods
                    .iter()
                    .filter(|pod| entries(pod).iter().any(|entry| names_it(entry) && claim_name(pod, entry).is_err()));
                waiting.map(|pod| ObjectKey::of(&**pod)).collect()
            }),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let pod = self.pods.get(key).filter(|pod| !is_done(pod) && pod.metadata.deletion_timestamp.is_none());
        match pod {
            Some(pod) if !entries(&pod).is_empty() => self.sync(&pod).await?,
            Some(_) => {}
            None => self.made.lock().retain(|(pod, _), _| pod != key),
        }
        Ok(Action::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_in_proportion() {
        assert_eq!(prefix("web", "gpu"), "web-gpu-");
        let cut = prefix(&"p".repeat(60), &"e".repeat(30));
        assert_eq!(cut, format!("{}-{}", "p".repeat(37), "e".repeat(18)));
        assert!(cut.len() <= MAX_PREFIX);
    }
}
