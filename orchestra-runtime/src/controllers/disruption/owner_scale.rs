//! How many pods the owner of a pod is to have.

use std::collections::HashMap;

use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, api::DynamicObject, core::ApiResource};
use orchestra_core::{ObjectKey, controller::controller_of, informer::Informer};
use parking_lot::Mutex;

use crate::controllers::api_error;

/// Asks for the sizes of owners: of Deployments and their ReplicaSets the informers, of all others, StatefulSets as custom resources, the
/// subresource `scale`.
pub(super) struct OwnerScales {
    client: Client,
    deployments: Informer<Deployment>,
    replica_sets: Informer<ReplicaSet>,
    /// What is known of kinds that have a scale, by API version and kind.
    kinds: Mutex<HashMap<(String, String), ApiResource>>,
}

/// The uid of who decides about the number, and the number.
type Size = (String, i32);

impl OwnerScales {
    pub(super) fn new(client: Client, deployments: Informer<Deployment>, replica_sets: Informer<ReplicaSet>) -> Self {
        Self { client, deployments, replica_sets, kinds: Mutex::default() }
    }

    /// How many pods `owner` is to have; `None` if it is not there any more. The error is why nobody knows.
    pub(super) async fn of(&self, owner: &OwnerReference, namespace: &str) -> Result<Option<Size>, String> {
        match self.of_replica_set(owner, namespace) {
            Some(size) => Ok(Some(size)),
            None => self.of_any(owner, namespace).await,
        }
    }

    /// The size of a ReplicaSet, or of the Deployment that it is of.
    fn of_replica_set(&self, owner: &OwnerReference, namespace: &str) -> Option<Size> {
        if !is_of(owner, "ReplicaSet") {
            return None;
        }
        let set = self.replica_sets.get(&ObjectKey::namespaced(namespace, &owner.name));
        let set = set.filter(|set| set.metadata.uid.as_deref() == Some(&*owner.uid))?;
        match controller_of(&*set).filter(|above| above.kind == "Deployment") {
            None => Some((owner.uid.clone(), set.spec.as_ref()?.replicas.unwrap_or(1))),
            Some(above) if is_of(above, "Deployment") => {
                let deployment = self.deployments.get(&ObjectKey::namespaced(namespace, &above.name))?;
                let is_it = deployment.metadata.uid.as_deref() == Some(&*above.uid);
                let replicas = deployment.spec.as_ref()?.replicas.unwrap_or(1);
                is_it.then(|| (above.uid.clone(), replicas))
            }
            Some(_) => None,
        }
    }

    async fn of_any(&self, owner: &OwnerReference, namespace: &str) -> Result<Option<Size>, String> {
        let resource = self.resource(owner).await?;
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let scale = match api.get_scale(&owner.name).await {
            Err(error) if api_error::is_not_found(&error) => return Ok(None),
            other => other.map_err(|error| api_error::message(&error))?,
        };
        let is_it = scale.metadata.uid.as_deref() == Some(&*owner.uid);
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        Ok(is_it.then(|| (owner.uid.clone(), replicas)))
    }

    /// What the owner's kind is called in paths, if it has a scale.
    async fn resource(&self, owner: &OwnerReference) -> Result<ApiResource, String> {
        let key = (owner.api_version.clone(), owner.kind.clone());
        if let Some(known) = self.kinds.lock().get(&key) {
            return Ok(known.clone());
        }
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let list = match group {
            "" => self.client.list_core_api_resources(version).await,
            _ => self.client.list_api_group_resources(&owner.api_version).await,
        };
        let resources = match list {
            Err(error) if api_error::is_not_found(&error) => Vec::new(),
            other => other.map_err(|error| api_error::message(&error))?.resources,
        };
        let own = resources.iter().find(|resource| resource.kind == owner.kind && !resource.name.contains('/'));
        let own =
            own.ok_or_else(|| format!("no matches for kind {:?} in version {:?}", owner.kind, owner.api_version))?;
        let scale = format!("{}/scale", own.name);
        if !resources.iter().any(|resource| resource.name == scale && resource.kind == "Scale") {
            let qualified = if group.is_empty() { own.name.clone() } else { format!("{}.{group}", own.name) };
            return Err(format!("{qualified} does not implement the scale subresource"));
        }
        let resource = ApiResource {
            api_version: owner.api_version.clone(),
            group: group.to_owned(),
            version: version.to_owned(),
            kind: owner.kind.clone(),
            plural: own.name.clone(),
        };
        self.kinds.lock().insert(key, resource.clone());
        Ok(resource)
    }
}

/// Whether the reference is to a workload of this kind, in either of the groups that have had it.
fn is_of(owner: &OwnerReference, kind: &str) -> bool {
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    owner.kind == kind && matches!(group, "apps" | "extensions")
}
