//! Keeps the EndpointSlices of services: who is behind each, where it is reached, and whether it is ready.
//!
//! ```text
//!   Service, pods, nodes ──► desired: endpoints by ports ──► packing: into slices ──► plan, with labels and hints ──► writes
//! ```

mod desired;
mod hints;
pub(super) mod packing;
mod plan;
mod slices;
mod topology;
mod tracker;
mod write;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Node, Service};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informer},
};

use self::{
    plan::Known,
    topology::{Outcome, Told, Zones},
};
pub(super) use self::{
    slices::{CATCH_UP, Slices},
    write::Plan,
};
use super::{
    api_error,
    service_pods::{self, TriggerTimes},
};
use crate::lean_pod::LeanPod;
use crate::pods_by_node;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const CONTROLLER_NAME: &str = "endpointslice-controller.k8s.io";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Keeps slices for each Service with a selector: of each family of addresses and each set of ports as many as it takes, with at most 100
/// endpoints in each, and one without any if there is nobody. They go with the Service, which owns them.
pub struct EndpointSliceController {
    services: Informer<Service>,
    pods: Informer<LeanPod>,
    nodes: Informer<Node>,
    slices: Slices,
    triggers: TriggerTimes,
    /// Which hints by zones were told of.
    told: Told,
    recorder: EventRecorder,
}

impl EndpointSliceController {
    /// A controller of all services. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let services = context.informers.informer::<Service>();
        let pods = context.informers.informer::<LeanPod>();
        service_pods::index(&services);
        pods_by_node::index(&pods);
        Self {
            services,
            pods,
            nodes: context.informers.informer::<Node>(),
            slices: Slices::new(context, CONTROLLER_NAME),
            triggers: TriggerTimes::default(),
            told: Told::default(),
            recorder: context.recorder("endpoint-slice-controller"),
        }
    }

    /// The zone of a node, if there is such a node.
    fn zone(&self, node: &str) -> Option<Option<String>> {
        self.nodes.get(&ObjectKey::cluster(node)).map(|node| zone_of(&node).map(str::to_owned))
    }

    /// The shares of zones, if the Service asks for hints by these.
    fn zones(&self, service: &Service) -> Option<Zones> {
        topology::is_asked_for(service).then(|| Zones::of(&self.nodes.list()))
    }

    fn tell(&self, key: &ObjectKey, service: &Service, outcomes: Vec<(&'static str, Outcome)>) {
        for (family, outcome) in outcomes {
            if let Some((kind, reason, message)) = self.told.news(key, family, outcome) {
                self.recorder.event(service, kind, reason, message);
            }
        }
    }
}

#[async_trait]
impl Controller for EndpointSliceController {
    fn name(&self) -> &str {
        "endpointslice"
    }

    fn watches(&self) -> Vec<Watch> {
        let services = self.services.clone();
        let of_pod = move |change: &Change<LeanPod>| service_pods::affected(&services, change);
        let (services, pods) = (self.services.clone(), self.pods.clone());
        let of_node = move |change: &Change<Node>| of_node(&services, &pods, change);
        let services = self.services.clone();
        let of_zones = move |change: &Change<Node>| of_zones(&services, change);
        vec![
            Watch::objects(&self.services),
            Watch::mapped(&self.pods, of_pod),
            self.slices.watch(),
            Watch::mapped(&self.nodes, of_node),
            Watch::mapped(&self.nodes, of_zones),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(service) = self.services.get(key) else {
            self.triggers.forget(key);
            self.slices.forget(key);
            self.told.forget(key);
            return Ok(Action::Done);
        };
        let (Some(spec), Some(selector)) = (&service.spec, service_pods::selector(&service)) else {
            return Ok(Action::Done);
        };
        let Some(slices) = self.slices.of(key) else { return Ok(Action::RequeueAfter(CATCH_UP)) };
        let pods = service_pods::selected(&service, selector, &self.pods);
        let trigger = self.triggers.next(&service, &pods);
        let zone = |node: &str| self.zone(node);
        let zones = self.zones(&service);
        let known = Known { service: &service, spec, pods: &pods, zone, zones, trigger };
        let (mut plan, outcomes) = known.plan(&slices);
        if service.metadata.deletion_timestamp.is_some() {
            // What is created while the Service goes would be there after it was collected.
            plan.create.clear();
        }
        if let Err(error) = self.slices.carry_out(key, plan).await {
            if !api_error::is_conflict(&error) {
                let message = api_error::message(&error);
                let message = format!("Error updating Endpoint Slices for Service {key}: {message}");
                self.recorder.event(&*service, EventType::Warning, "FailedToUpdateEndpointSlices", message);
            }
            return Err(error.into());
        }
        self.tell(key, &service, outcomes);
        Ok(Action::Done)
    }

    fn workers(&self) -> usize {
        5
    }
}

/// The services of the pods on a node that comes, goes or is in another zone now.
fn of_node(services: &Informer<Service>, pods: &Informer<LeanPod>, change: &Change<Node>) -> Vec<ObjectKey> {
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

/// The services with hints by zones, if zones have other shares now.
fn of_zones(services: &Informer<Service>, change: &Change<Node>) -> Vec<ObjectKey> {
    if !topology::is_news(change.old().map(|node| &**node), change.new().map(|node| &**node)) {
        return Vec::new();
    }
    services
        .list()
        .iter()
        .filter(|service| topology::is_asked_for(service))
        .map(|service| ObjectKey::of(&**service))
        .collect()
}

fn zone_of(node: &Node) -> Option<&str> {
    node.metadata.labels.as_ref()?.get(ZONE).map(String::as_str).filter(|zone| !zone.is_empty())
}
