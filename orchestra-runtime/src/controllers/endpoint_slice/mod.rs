//! Keeps the EndpointSlices of services: who is behind each, where it is reached, and whether it is ready.
//!
//! ```text
//!   Service, pods, nodes ──► desired: endpoints by ports ──► packing: into slices ──► plan, with labels and hints ──► writes
//! ```

mod desired;
mod hints;
pub(super) mod packing;
mod plan;
mod tracker;
mod write;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::api::{
    core::v1::{Node, Pod, Service},
    discovery::v1::EndpointSlice,
};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informer},
};

use self::plan::Known;
pub(super) use self::{
    tracker::Tracker,
    write::{Plan, Writer},
};
use super::{
    api_error,
    service_pods::{self, TriggerTimes},
};
use crate::pods_by_node;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER_NAME: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// The index of this controller's slices by their Service.
const BY_SERVICE: &str = "endpoint-slices-of-service";
/// How long until the informer is looked at again that does not show yet what was written.
const CATCH_UP: Duration = Duration::from_millis(10);

/// Keeps slices for each Service with a selector: of each family of addresses and each set of ports as many as it takes, with at most 100
/// endpoints in each, and one without any if there is nobody. They go with the Service, which owns them.
pub struct EndpointSliceController {
    services: Informer<Service>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    slices: Informer<EndpointSlice>,
    triggers: TriggerTimes,
    writer: Writer,
    tracker: Arc<Tracker>,
    recorder: EventRecorder,
}

impl EndpointSliceController {
    /// A controller of all services. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let services = context.informers.informer::<Service>();
        let pods = context.informers.informer::<Pod>();
        let slices = context.informers.informer::<EndpointSlice>();
        service_pods::index(&services);
        pods_by_node::index(&pods);
        slices.add_index(BY_SERVICE, |slice| service_of(slice).map(|key| key.to_string()).into_iter().collect());
        let tracker = Arc::<Tracker>::default();
        Self {
            services,
            pods,
            nodes: context.informers.informer::<Node>(),
            slices,
            triggers: TriggerTimes::default(),
            writer: Writer::new(context.client.clone(), Arc::clone(&tracker)),
            tracker,
            recorder: context.recorder("endpoint-slice-controller"),
        }
    }

    /// The zone of a node, if there is such a node.
    fn zone(&self, node: &str) -> Option<Option<String>> {
        self.nodes.get(&ObjectKey::cluster(node)).map(|node| zone_of(&node).map(str::to_owned))
    }
}

#[async_trait]
impl Controller for EndpointSliceController {
    fn name(&self) -> &str {
        "endpointslice"
    }

    fn watches(&self) -> Vec<Watch> {
        let services = self.services.clone();
        let of_pod = move |change: &Change<Pod>| service_pods::affected(&services, change);
        let tracker = Arc::clone(&self.tracker);
        let of_slice = move |change: &Change<EndpointSlice>| foreign(&tracker, change, service_of);
        let (services, pods) = (self.services.clone(), self.pods.clone());
        let of_node = move |change: &Change<Node>| of_node(&services, &pods, change);
        vec![
            Watch::objects(&self.services),
            Watch::mapped(&self.pods, of_pod),
            Watch::mapped(&self.slices, of_slice),
            Watch::mapped(&self.nodes, of_node),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(service) = self.services.get(key) else {
            self.triggers.forget(key);
            self.tracker.forget(key);
            return Ok(Action::Done);
        };
        let (Some(spec), Some(selector)) = (&service.spec, service_pods::selector(&service)) else {
            return Ok(Action::Done);
        };
        let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
        slices.retain(|slice| slice.metadata.deletion_timestamp.is_none());
        if self.tracker.is_behind(key, &slices) {
            return Ok(Action::RequeueAfter(CATCH_UP));
        }
        let pods = service_pods::selected(&service, selector, &self.pods);
        let trigger = self.triggers.next(&service, &pods);
        let zone = |node: &str| self.zone(node);
        let mut plan = Known { service: &service, spec, pods: &pods, zone, trigger }.plan(&slices);
        if service.metadata.deletion_timestamp.is_some() {
            // What is created while the Service goes would be there after it was collected.
            plan.create.clear();
        }
        if let Err(error) = self.writer.carry_out(key, plan).await {
            if !api_error::is_conflict(&error) {
                let message = api_error::message(&error);
                let message = format!("Error updating Endpoint Slices for Service {key}: {message}");
                self.recorder.event(&*service, EventType::Warning, "FailedToUpdateEndpointSlices", message);
            }
            return Err(error.into());
        }
        Ok(Action::Done)
    }

    fn workers(&self) -> usize {
        5
    }
}

/// The Service of a slice that this controller manages.
fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    labels.get(MANAGED_BY).filter(|manager| *manager == CONTROLLER_NAME)?;
    Some(ObjectKey::new(slice.metadata.namespace.as_deref(), labels.get(SERVICE_NAME)?))
}

/// The services of a slice that somebody else changed, before the change and after it.
pub(super) fn foreign(
    tracker: &Tracker,
    change: &Change<EndpointSlice>,
    service_of: fn(&EndpointSlice) -> Option<ObjectKey>,
) -> Vec<ObjectKey> {
    let states = change.old().into_iter().chain(change.new());
    let mut keys: Vec<_> = states.filter_map(|slice| service_of(slice)).collect();
    keys.dedup();
    keys.retain(|key| tracker.is_foreign(key, change));
    keys
}

/// The services of the pods on a node that comes, goes or is in another zone now.
fn of_node(services: &Informer<Service>, pods: &Informer<Pod>, change: &Change<Node>) -> Vec<ObjectKey> {
    if let Change::Updated { old, new } = change
        && zone_of(old) == zone_of(new)
    {
        return Vec::new();
    }
    let node = change.object().metadata.name.as_deref().unwrap_or_default();
    let on_node = pods_by_node::on(pods, node);
    let mut keys: Vec<_> = on_node.iter().flat_map(|pod| service_pods::selecting(services, pod)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn zone_of(node: &Node) -> Option<&str> {
    node.metadata.labels.as_ref()?.get(ZONE).map(String::as_str).filter(|zone| !zone.is_empty())
}
