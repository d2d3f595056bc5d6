//! From the pods of a Service and the slices that it has to the slices that are to be written: a pure function.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::{Service, ServiceSpec},
        discovery::v1::{Endpoint, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{
    CONTROLLER_NAME, MANAGED_BY, SERVICE_NAME,
    desired::{self, Family, Group},
    hints::Distribution,
    packing,
    topology::{self, Outcome, Zones},
    write::Plan,
};
use crate::controllers::{ownership, service_pods};
use crate::lean_pod::LeanPod;

/// The labels that say whose a slice is, whatever the Service's own labels say.
const RESERVED: [&str; 3] = [SERVICE_NAME, MANAGED_BY, service_pods::HEADLESS];

/// What there is to know of a Service for a [`Plan`].
pub(super) struct Known<'a, Z> {
    pub(super) service: &'a Service,
    pub(super) spec: &'a ServiceSpec,
    pub(super) pods: &'a [Arc<LeanPod>],
    /// In which zone a node is, if there is such a node at all.
    pub(super) zone: Z,
    /// The zones' shares, if the Service asks for hints by these.
    pub(super) zones: Option<Zones>,
    /// When that happened which the slices follow.
    pub(super) trigger: Option<Timestamp>,
}

impl<Z: Fn(&str) -> Option<Option<String>>> Known<'_, Z> {
    /// What is to be done with the `existing` slices of the Service, and what came of hints by zones, for each type of addresses.
    pub(super) fn plan(&self, existing: &[Arc<EndpointSlice>]) -> (Plan, Vec<(&'static str, Outcome)>) {
        let families = desired::families(self.spec);
        let (mut plan, mut outcomes) = (Plan::default(), Vec::new());
        for family in &families {
            let of_family: Vec<_> =
                existing.iter().filter(|slice| slice.address_type == family.address_type()).cloned().collect();
            outcomes.push((family.address_type(), self.plan_family(*family, &of_family, &mut plan)));
        }
        let known = |slice: &EndpointSlice| families.iter().any(|family| slice.address_type == family.address_type());
        plan.delete.extend(existing.iter().filter(|slice| !known(slice)).cloned());
        let trigger = self.trigger.map(|time| time.to_string());
        for slice in plan.create.iter_mut().chain(&mut plan.update) {
            set_trigger(&mut slice.metadata, trigger.clone());
        }
        (plan, outcomes)
    }

    fn plan_family(&self, family: Family, existing: &[Arc<EndpointSlice>], plan: &mut Plan) -> Outcome {
        let (mut create, mut update, mut delete, mut unchanged) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut by_ports: BTreeMap<String, Vec<Arc<EndpointSlice>>> = BTreeMap::new();
        for slice in existing {
            match is_owned(slice, self.service) {
                true => by_ports.entry(packing::port_key(ports(slice))).or_default().push(Arc::clone(slice)),
                // Of an earlier Service of the same name: it is being collected.
                false => delete.push(Arc::clone(slice)),
            }
        }
        let labels = self.labels();
        for (key, Group { ports, endpoints }) in desired::groups(self.service, self.spec, self.pods, family, &self.zone)
        {
            let slices = by_ports.remove(&key).unwrap_or_default();
            let packed = packing::pack(&slices, endpoints, &labels, packing::MAX_ENDPOINTS);
            create.extend(packed.created.into_iter().map(|endpoints| self.slice(family, ports.clone(), endpoints)));
            update.extend(packed.updated);
            delete.extend(packed.deleted);
            unchanged.extend(packed.unchanged);
        }
        delete.extend(by_ports.into_values().flatten());
        if create.is_empty() && delete.len() == existing.len() {
            // A Service has a slice at least, which says that there is nobody.
            let placeholder = self.slice(family, Vec::new(), Vec::new());
            match &*delete {
                [only] if is_placeholder(only, &labels, self.service) => delete.clear(),
                _ => create.push(placeholder),
            }
        }
        let outcome = self.hint(&mut create, &mut update, unchanged);
        self.reuse(&mut create, &mut update, &mut delete);
        plan.create.extend(create);
        plan.update.extend(update);
        plan.delete.extend(delete);
        outcome
    }

    /// Gives endpoints the hints that the Service asks for. Those by the shares of zones come before others.
    fn hint(
        &self,
        create: &mut [EndpointSlice],
        update: &mut Vec<EndpointSlice>,
        unchanged: Vec<Arc<EndpointSlice>>,
    ) -> Outcome {
        if let Some(zones) = &self.zones {
            return Some(topology::hint(zones, create, update, unchanged));
        }
        let distribution = Distribution::of(self.spec);
        let fits = |slice: &EndpointSlice| distribution.fits(slice.endpoints.as_deref().unwrap_or_default());
        let misleading = unchanged.iter().filter(|slice| !fits(slice));
        update.extend(misleading.map(|slice| EndpointSlice::clone(slice)));
        for slice in create.iter_mut().chain(update) {
            distribution.apply(slice.endpoints.as_deref_mut().unwrap_or_default());
        }
        None
    }

    /// Turns a slice that would go into one that would come: one write instead of two.
    fn reuse(
        &self,
        create: &mut Vec<EndpointSlice>,
        update: &mut Vec<EndpointSlice>,
        delete: &mut Vec<Arc<EndpointSlice>>,
    ) {
        delete.retain(|old| {
            let Some(mut new) = create.pop_if(|_| is_owned(old, self.service)) else { return true };
            new.metadata.name.clone_from(&old.metadata.name);
            new.metadata.uid.clone_from(&old.metadata.uid);
            new.metadata.resource_version.clone_from(&old.metadata.resource_version);
            update.push(new);
            false
        });
    }

    fn slice(&self, family: Family, ports: Vec<EndpointPort>, endpoints: Vec<Endpoint>) -> EndpointSlice {
        let name = self.service.metadata.name.as_deref().unwrap_or_default();
        EndpointSlice {
            metadata: ObjectMeta {
                generate_name: Some(format!("{name}-")),
                namespace: self.service.metadata.namespace.clone(),
                labels: Some(self.labels()),
                owner_references: Some(vec![ownership::controller_reference(self.service)]),
                ..ObjectMeta::default()
            },
            address_type: family.address_type().to_owned(),
            endpoints: Some(endpoints),
            ports: Some(ports),
        }
    }

    /// The labels of slices: those of the Service, and those that say whose they are.
    fn labels(&self) -> BTreeMap<String, String> {
        let metadata = &self.service.metadata;
        let mut labels = metadata.labels.clone().unwrap_or_default();
        labels.retain(|key, _| !RESERVED.contains(&key.as_str()));
        if !service_pods::has_cluster_ip(self.spec) {
            labels.insert(service_pods::HEADLESS.to_owned(), String::new());
        }
        labels.insert(SERVICE_NAME.to_owned(), metadata.name.clone().unwrap_or_default());
        labels.insert(MANAGED_BY.to_owned(), CONTROLLER_NAME.to_owned());
        labels
    }
}

fn ports(slice: &EndpointSlice) -> &[EndpointPort] {
    slice.ports.as_deref().unwrap_or_default()
}

fn is_owned(slice: &EndpointSlice, service: &Service) -> bool {
    let mut owners = slice.metadata.owner_references.iter().flatten();
    owners.any(|owner| {
        owner.kind == "Service" && owner.api_version == "v1" && Some(&owner.uid) == service.metadata.uid.as_ref()
    })
}

fn is_placeholder(slice: &EndpointSlice, labels: &BTreeMap<String, String>, service: &Service) -> bool {
    let empty = slice.endpoints.iter().flatten().next().is_none() && ports(slice).is_empty();
    empty && is_owned(slice, service) && slice.metadata.labels.as_ref() == Some(labels)
}

fn set_trigger(metadata: &mut ObjectMeta, trigger: Option<String>) {
    match trigger {
        Some(time) => {
            metadata.annotations.get_or_insert_default().insert(service_pods::TRIGGER_TIME.to_owned(), time);
        }
        None => {
            metadata.annotations.as_mut().and_then(|annotations| annotations.remove(service_pods::TRIGGER_TIME));
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::{Value, json};

    use super::*;

    fn service(spec: Value) -> Service {
        let metadata = json!({"name": "web", "namespace": "default", "uid": "u", "labels": {"team": "a"}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    fn pod(name: &str, ips: &[&str]) -> Arc<LeanPod> {
        let ips: Vec<_> = ips.iter().map(|ip| json!({"ip": ip})).collect();
        let pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"podIPs": ips, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
    }

    fn plan(service: &Service, pods: &[Arc<LeanPod>], existing: &[Arc<EndpointSlice>]) -> Plan {
        let zone = |_: &str| Some(Some("z".to_owned()));
        let spec = service.spec.as_ref().unwrap();
        Known { service, spec, pods, zone, zones: None, trigger: Some(Timestamp::UNIX_EPOCH) }.plan(existing).0
    }

    /// The slices as they are when they were created.
    fn stored(plan: Plan) -> Vec<Arc<EndpointSlice>> {
        let named = plan.create.into_iter().enumerate().map(|(i, mut slice)| {
            slice.metadata.name = Some(format!("web-{i}"));
            slice.endpoints.take_if(|endpoints| endpoints.is_empty());
            slice.ports.take_if(|ports| ports.is_empty());
            Arc::new(slice)
        });
        named.collect()
    }

    #[test]
    fn a_service_without_pods_has_a_slice_that_says_so() {
        let service = service(json!({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]}));
        let first = plan(&service, &[], &[]);
        let slice = serde_json::to_value(&first.create[0]).unwrap();
        assert_eq!(
            slice["metadata"],
            json!({
                "generateName": "web-", "namespace": "default",
                "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "1970-01-01T00:00:00Z"},
                "labels": {
                    "team": "a", "kubernetes.io/service-name": "web",
                    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                },
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Service", "name": "web", "uid": "u",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            })
        );
        let existing = stored(first);
        let again = plan(&service, &[], &existing);
        assert_eq!((again.create.len(), again.update.len(), again.delete.len()), (0, 0, 0));
        let filled = plan(&service, &[pod("a", &["10.0.0.1"])], &existing);
        assert_eq!((filled.create.len(), filled.update.len(), filled.delete.len()), (0, 1, 0), "the slice is used");
        assert_eq!(filled.update[0].metadata.name.as_deref(), Some("web-0"));
    }

    #[test]
    fn each_family_has_slices_of_its_own() {
        let spec = json!({"clusterIP": "None", "ipFamilies": ["IPv4", "IPv6"], "ports": [{"port": 80}]});
        let both = service(spec);
        let existing = stored(plan(&both, &[pod("a", &["10.0.0.1", "fd00::1"])], &[]));
        let types: Vec<_> = existing.iter().map(|slice| &*slice.address_type).collect();
        assert_eq!(types, ["IPv4", "IPv6"]);
        assert!(existing[0].metadata.labels.as_ref().unwrap().contains_key(service_pods::HEADLESS));
        let one = service(json!({"clusterIP": "None", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]}));
        let shrunk = plan(&one, &[pod("a", &["10.0.0.1", "fd00::1"])], &existing);
        assert_eq!((shrunk.create.len(), shrunk.update.len(), shrunk.delete.len()), (0, 0, 1));
        assert_eq!(shrunk.delete[0].address_type, "IPv6");
    }

    #[test]
    fn slices_of_an_earlier_service_of_that_name_are_not_used() {
        let service = service(json!({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "ports": [{"port": 80}]}));
        let mut stranger = EndpointSlice::clone(&stored(plan(&service, &[], &[]))[0]);
        stranger.metadata.owner_references.as_mut().unwrap()[0].uid = "earlier".to_owned();
        let plan = plan(&service, &[], &[Arc::new(stranger)]);
        assert_eq!((plan.create.len(), plan.update.len(), plan.delete.len()), (1, 0, 1));
    }

    #[test]
    fn hints_follow_the_service_without_other_changes() {
        let spec = |distribution: Value| {
            service(json!({"clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "ports": [{"port": 80}],
                "trafficDistribution": distribution}))
        };
        let pods = [pod("a", &["10.0.0.1"])];
        let existing = stored(plan(&spec(Value::Null), &pods, &[]));
        let near = plan(&spec(json!("PreferSameZone")), &pods, &existing);
        let hints = near.update[0].endpoints.as_ref().unwrap()[0].hints.clone().unwrap();
        assert_eq!(hints.for_zones.unwrap()[0].name, "z");
        let existing: Vec<_> = near.update.into_iter().map(Arc::new).collect();
        assert!(plan(&spec(json!("PreferClose")), &pods, &existing).update.is_empty());
        let far = plan(&spec(Value::Null), &pods, &existing);
        assert_eq!(far.update[0].endpoints.as_ref().unwrap()[0].hints, None);
    }
}
