//! Extended resources that devices provide (KEP-5004): the claim that the scheduler makes for a pod that asks for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{
    api::{
        core::v1::{Container, ContainerExtendedResourceRequest},
        resource::v1::{DeviceClaim, DeviceClass, DeviceRequest, ExactDeviceRequest, ResourceClaim, ResourceClaimSpec},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::core::ObjectMeta;
use orchestra_core::{
    ObjectKey,
    device::{EXTENDED_RESOURCE_CLAIM, is_extended_resource_claim, is_made_for},
    quantity::Quantity,
    scheduler::{ExtendedClaim, NodeInfo, Objects, PodInfo, Rejection},
};

use super::{super::resource_spec::is_extended, request::Wanted};

/// What stands before a class's name in the resource that every class provides (`ResourceDeviceClassPrefix`).
const CLASS_PREFIX: &str = "deviceclass.resource.kubernetes.io/";
/// What the claim is called until it is made: no claim can be.
const UNMADE: &str = "<extended-resources>";

/// The class whose devices provide the resource called `name`. Of several that say so the newest does, of equals the first by name.
pub(crate) fn class_of<'a>(name: &str, objects: &'a Objects) -> Option<&'a Arc<DeviceClass>> {
    if let Some(class) = name.strip_prefix(CLASS_PREFIX) {
        return objects.get::<DeviceClass>(&ObjectKey::cluster(class));
    }
    let provides = |class: &&Arc<DeviceClass>| class.spec.extended_resource_name.as_deref() == Some(name);
    let rank = |class: &&Arc<DeviceClass>| class.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let mut classes: Vec<_> = objects.iter::<DeviceClass>().filter(provides).collect();
    // In order of their names already.
    classes.sort_by_key(|class| std::cmp::Reverse(rank(class)));
    classes.first().copied()
}

/// Whether devices of the class provide the resource.
pub(crate) fn provides(class: &DeviceClass, name: &str) -> bool {
    class.spec.extended_resource_name.as_deref() == Some(name)
        || name.strip_prefix(CLASS_PREFIX).is_some_and(|of| class.metadata.name.as_deref() == Some(of))
}

/// Whether devices can provide the resource at all.
pub(crate) fn may_be_provided(name: &str) -> bool {
    name.starts_with(CLASS_PREFIX) || is_extended(name)
}

/// The extended resources that a pod asks for, some of which devices provide.
pub(super) struct Extended {
    resources: Vec<(Arc<str>, Option<Arc<DeviceClass>>)>,
    /// The claim that was made for the pod in an attempt before this one. It is of no use: it is deleted, and another made.
    pub(super) stale: Option<Arc<ResourceClaim>>,
}

/// What has to be allocated for a pod on a node, and the claim that is made for that.
#[derive(Clone)]
pub(super) struct Needed {
    pub(super) wanted: Arc<Wanted>,
    pub(super) claim: ExtendedClaim,
}

impl Extended {
    /// `None` if devices provide nothing of what the pod asks for.
    pub(super) fn of(pod: &PodInfo, objects: &Objects) -> Option<Self> {
        let asked = pod.requests().scalars.iter().filter(|(name, amount)| **amount > 0 && may_be_provided(name));
        let resources: Vec<_> = asked.map(|(name, _)| (Arc::clone(name), class_of(name, objects).cloned())).collect();
        if resources.iter().all(|(_, class)| class.is_none()) {
            return None;
        }
        let mut claims = objects.iter::<ResourceClaim>();
        let stale = claims.find(|claim| is_extended_resource_claim(claim) && is_made_for(claim, pod.pod())).cloned();
        Some(Self { resources, stale })
    }

    /// What the node itself does not have and devices have to provide; `None` if it has it all.
    pub(super) fn needed(
        &self,
        pod: &PodInfo,
        node: &NodeInfo,
        objects: &Objects,
    ) -> Result<Option<Needed>, Rejection> {
        if self.stale.is_some() {
            return Err(Rejection::new("cannot schedule extended resource claim").unresolvable());
        }
        let mut lacking = BTreeMap::new();
        for (name, class) in &self.resources {
            match class {
                Some(class) if node.allocatable().get(name) == 0 => drop(lacking.insert(Arc::clone(name), class)),
                None if !node.allocatable().scalars.contains_key(name) => {
                    return Err(Rejection::new("cannot fit resource").unresolvable());
                }
                _ => {}
            }
        }
        if lacking.is_empty() {
            return Ok(None);
        }
        let claim = claim_for(pod, &lacking);
        let wanted = Wanted::read(&Arc::new(claim.claim.clone()), objects)?;
        Ok(Some(Needed { wanted: Arc::new(wanted), claim }))
    }
}

/// The key under which the claim of a pod stands until it is made.
pub(super) fn unmade_key(pod: &PodInfo) -> ObjectKey {
    ObjectKey::new(pod.key().namespace(), &format!("{UNMADE} {}", pod.key().name()))
}

fn claim_for(pod: &PodInfo, lacking: &BTreeMap<Arc<str>, &Arc<DeviceClass>>) -> ExtendedClaim {
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: pod.key().name().to_owned(),
        uid: pod.pod().metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let metadata = ObjectMeta {
        name: Some(UNMADE.to_owned()),
        namespace: pod.key().namespace().map(str::to_owned),
        // So that devices that are shared get names of their own for each pod.
        uid: Some(pod.id().to_string()),
        generate_name: Some(format!("{}-extended-resources-", pod.key().name())),
        annotations: Some([(EXTENDED_RESOURCE_CLAIM.to_owned(), "true".to_owned())].into()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    let mut requests = Requests::of(pod);
    for (name, class) in lacking {
        requests.add(name, class.metadata.name.as_deref().unwrap_or_default());
    }
    let Requests { mut devices, mappings, .. } = requests;
    devices.sort_by(|one, other| one.name.cmp(&other.name));
    let spec = ResourceClaimSpec { devices: Some(DeviceClaim { requests: Some(devices), ..DeviceClaim::default() }) };
    ExtendedClaim { claim: ResourceClaim { metadata, spec, status: None }, requests: mappings }
}

/// The requests of a claim, and which container uses which.
struct Requests<'a> {
    /// Init containers first.
    containers: Vec<&'a Container>,
    /// How many of them are init containers.
    init: usize,
    devices: Vec<DeviceRequest>,
    mappings: Vec<ContainerExtendedResourceRequest>,
}

/// A request for devices of a container.
#[derive(Clone)]
struct OfContainer {
    name: String,
    count: i64,
}

impl<'a> Requests<'a> {
    fn of(pod: &'a PodInfo) -> Self {
        let spec = pod.spec();
        let init: Vec<_> = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten()).collect();
        let count = init.len();
        let containers = init.into_iter().chain(spec.into_iter().flat_map(|spec| &spec.containers)).collect();
        Self { containers, init: count, devices: Vec::new(), mappings: Vec::new() }
    }

    /// Whether the container ends before those after it start.
    fn ends(&self, index: usize) -> bool {
        let is_sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
        index < self.init && self.containers.get(index).is_some_and(|container| !is_sidecar(container))
    }

    /// Adds what the containers ask for of a resource that the class provides. Containers that stay have devices of their own. One that ends
    /// uses those of containers that start after it, and what it needs beyond that is asked for once, as much as any of those needs.
    fn add(&mut self, resource: &str, class: &str) {
        let all = 0..self.containers.len();
        let (ending, staying): (Vec<usize>, Vec<usize>) = all.partition(|index| self.ends(*index));
        let mut stays: BTreeMap<usize, OfContainer> = BTreeMap::new();
        for index in staying {
            if let Some((request, mappings)) = self.request(index, resource, &[]) {
                self.mappings.extend(mappings);
                stays.extend(request.map(|request| (index, request)));
            }
        }
        let (mut most, mut names, mut used): (Option<OfContainer>, BTreeSet<String>, Vec<_>) = Default::default();
        for index in ending {
            let later: Vec<OfContainer> = stays.range(index..).map(|(_, request)| request.clone()).collect();
            let Some((request, mappings)) = self.request(index, resource, &later) else { continue };
            used.extend(mappings);
            let Some(request) = request else { continue };
            names.insert(request.name.clone());
            if most.as_ref().is_none_or(|most| most.count < request.count) {
                most = Some(request);
            }
        }
        if let Some(most) = &most {
            for mapping in used.iter_mut().filter(|mapping| names.contains(&mapping.request_name)) {
                mapping.request_name.clone_from(&most.name);
            }
        }
        self.mappings.extend(used);
        self.devices.extend(most.into_iter().chain(stays.into_values()).map(|request| request.of_class(class)));
    }

    /// What a container asks for beyond the requests that it can `share`, and which requests it uses; `None` if it asks for none.
    fn request(
        &self,
        index: usize,
        resource: &str,
        share: &[OfContainer],
    ) -> Option<(Option<OfContainer>, Vec<ContainerExtendedResourceRequest>)> {
        let container = self.containers.get(index)?;
        let asked = container.resources.as_ref()?.requests.as_ref()?;
        let amount = Quantity::try_from(asked.get(resource)?).ok()?.value();
        if amount <= 0 {
            return None;
        }
        let mapping = |request: &str| ContainerExtendedResourceRequest {
            container_name: container.name.clone(),
            resource_name: resource.to_owned(),
            request_name: request.to_owned(),
        };
        let (mut mappings, mut shared) = (Vec::new(), 0);
        for other in share {
            shared += other.count;
            mappings.push(mapping(&other.name));
            if shared >= amount {
                return Some((None, mappings));
            }
        }
        // The place of the resource among those that the container asks for, by name.
        let place = asked.keys().position(|name| name == resource).unwrap_or_default();
        let name = format!("container-{index}-request-{place}");
        mappings.push(mapping(&name));
        Some((Some(OfContainer { name, count: amount - shared }), mappings))
    }
}

impl OfContainer {
    fn of_class(self, class: &str) -> DeviceRequest {
        let exactly = ExactDeviceRequest {
            device_class_name: class.to_owned(),
            allocation_mode: Some("ExactCount".to_owned()),
            count: Some(self.count),
            ..ExactDeviceRequest::default()
        };
        DeviceRequest { name: self.name, exactly: Some(exactly), first_available: None }
    }
}

#[cfg(test)]
mod tests;
