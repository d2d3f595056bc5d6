//! What there is to be found: Services, their endpoints and the namespaces, by the names and addresses that are asked for.

mod reverse;
mod service;
mod slice;

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::api::{core::v1, discovery::v1::EndpointSlice};

use self::reverse::Reverse;
pub(super) use self::{
    service::{Port, Service, ServiceKind},
    slice::Slice,
};

/// Everything that has a name in the cluster's domain, or an address that leads back to one.
#[derive(Debug, Default)]
pub(super) struct Index {
    namespaces: HashMap<String, Namespace>,
    services: Reverse<Service>,
    endpoints: Reverse<Slice>,
    serial: u32,
}

/// Objects may be told of before the namespace that they are in, and be there a moment longer.
#[derive(Debug, Default)]
struct Namespace {
    exists: bool,
    services: HashMap<String, Arc<Service>>,
    /// By service, then by the slice's own name: in one order, however they came.
    slices: HashMap<String, BTreeMap<String, Arc<Slice>>>,
}

impl Namespace {
    fn is_empty(&self) -> bool {
        !self.exists && self.services.is_empty() && self.slices.is_empty()
    }
}

impl Index {
    /// Whether the namespace `name` is there.
    pub(super) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.get(name).is_some_and(|namespace| namespace.exists)
    }

    pub(super) fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.namespaces.get(namespace)?.services.get(name).map(Arc::as_ref)
    }

    /// The slices of a Service.
    pub(super) fn slices(&self, namespace: &str, service: &str) -> impl Iterator<Item = &Slice> {
        let slices = self.namespaces.get(namespace).and_then(|namespace| namespace.slices.get(service));
        slices.into_iter().flat_map(BTreeMap::values).map(Arc::as_ref)
    }

    /// The Services that have `address`: one, unless the cluster is out of order.
    pub(super) fn services_at(&self, address: IpAddr) -> impl Iterator<Item = &Service> {
        self.services.at(address)
    }

    /// The slices with an endpoint at `address`.
    pub(super) fn slices_at(&self, address: IpAddr) -> impl Iterator<Item = &Slice> {
        self.endpoints.at(address)
    }

    /// Grows with each change; the serial number of the zones.
    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// Notes that something changed at `second` of Unix time, which is the serial number then, as with CoreDNS.
    pub(super) fn changed(&mut self, second: i64) {
        // Serial numbers wrap (RFC 1982), and so does this.
        self.serial = second as u32;
    }

    /// Replaces a namespace's state.
    pub(super) fn namespace(&mut self, old: Option<&v1::Namespace>, new: Option<&v1::Namespace>) {
        for (namespace, exists) in [(old, false), (new, true)] {
            if let Some(name) = namespace.and_then(|namespace| namespace.metadata.name.as_deref()) {
                self.edit(name, |namespace| namespace.exists = exists);
            }
        }
    }

    /// Replaces a Service's state.
    pub(super) fn set_service(&mut self, old: Option<&v1::Service>, new: Option<&v1::Service>) {
        if let Some(metadata) = old.map(|service| &service.metadata) {
            let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
            let removed = self.edit(namespace.unwrap_or_default(), |all| all.services.remove(name.unwrap_or_default()));
            if let Some(removed) = removed {
                self.services.remove(&removed, removed.addresses().iter().copied());
            }
        }
        if let Some(service) = new.and_then(Service::of).map(Arc::new) {
            self.services.insert(&service, service.addresses().iter().copied());
            self.edit(&service.namespace, |all| all.services.insert(service.name.clone(), Arc::clone(&service)));
        }
    }

    /// Replaces an EndpointSlice's state.
    pub(super) fn set_slice(&mut self, old: Option<&EndpointSlice>, new: Option<&EndpointSlice>) {
        if let Some(old) = old.and_then(Slice::of) {
            let removed = self.edit(&old.namespace, |all| {
                let slices = all.slices.get_mut(&old.service)?;
                let removed = slices.remove(&old.name);
                if slices.is_empty() {
                    all.slices.remove(&old.service);
                }
                removed
            });
            if let Some(removed) = removed {
                self.endpoints.remove(&removed, removed.endpoints.iter().map(|endpoint| endpoint.address));
            }
        }
        if let Some(slice) = new.and_then(Slice::of).map(Arc::new) {
            self.endpoints.insert(&slice, slice.endpoints.iter().map(|endpoint| endpoint.address));
            self.edit(&slice.namespace, |all| {
                all.slices.entry(slice.service.clone()).or_default().insert(slice.name.clone(), Arc::clone(&slice))
            });
        }
    }

    /// Changes a namespace, and forgets it if nothing of it is left.
    fn edit<T>(&mut self, name: &str, edit: impl FnOnce(&mut Namespace) -> T) -> T {
        let mut namespace = self.namespaces.remove(name).unwrap_or_default();
        let edited = edit(&mut namespace);
        if !namespace.is_empty() {
            self.namespaces.insert(name.to_owned(), namespace);
        }
        edited
    }
}
