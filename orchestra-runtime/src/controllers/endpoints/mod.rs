//! Keeps the Endpoints of services, the old form of EndpointSlices, for clients that read no other.

mod subsets;

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{EndpointSubset, Endpoints, Service, ServiceSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::{EventRecorder, EventType},
    informer::{Change, Informer},
    work_queue::WorkQueue,
};
use tokio_util::sync::CancellationToken;

use super::{
    api_error,
    service_pods::{self, TriggerTimes},
};
use crate::lean_pod::LeanPod;

const MANAGED_BY: (&str, &str) = ("endpoints.kubernetes.io/managed-by", "endpoint-controller");
const OVER_CAPACITY: (&str, &str) = ("endpoints.kubernetes.io/over-capacity", "truncated");
/// Leaders were once elected by annotations of Endpoints, which have no Service.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// Keeps an Endpoints object for each Service with a selector, and deletes that of a Service that is gone.
pub struct EndpointsController {
    client: Client,
    services: Informer<Service>,
    pods: Informer<LeanPod>,
    endpoints: Informer<Endpoints>,
    triggers: TriggerTimes,
    recorder: EventRecorder,
}

impl EndpointsController {
    /// A controller of all services. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        let services = context.informers.informer::<Service>();
        service_pods::index(&services);
        Self {
            client: context.client.clone(),
            services,
            pods: context.informers.informer::<LeanPod>(),
            endpoints: context.informers.informer::<Endpoints>(),
            triggers: TriggerTimes::default(),
            recorder: context.recorder("endpoint-controller"),
        }
    }

    fn api(&self, key: &ObjectKey) -> Api<Endpoints> {
        Api::namespaced(self.client.clone(), key.namespace().unwrap_or_default())
    }

    /// The Service is gone.
    async fn delete(&self, key: &ObjectKey) -> Result<(), kube::Error> {
        let Some(left) = self.endpoints.get(key).filter(|endpoints| !is_leaders(endpoints)) else { return Ok(()) };
        let same = Preconditions { uid: left.metadata.uid.clone(), resource_version: None };
        match self.api(key).delete(key.name(), &DeleteParams::default().preconditions(same)).await {
            Err(error) if api_error::is_not_found(&error) => Ok(()),
            other => other.map(drop),
        }
    }

    async fn write(&self, key: &ObjectKey, wanted: &Endpoints) -> Result<(), kube::Error> {
        let (api, parameters) = (self.api(key), PostParams::default());
        let is_new = wanted.metadata.resource_version.is_none();
        let written = match is_new {
            true => api.create(&parameters, wanted).await,
            false => api.replace(key.name(), &parameters, wanted).await,
        };
        let error = match written {
            Ok(_) => return Ok(()),
            Err(error) if is_new && api_error::is_namespace_terminating(&error) => return Ok(()),
            Err(error) => error,
        };
        if !api_error::is_conflict(&error) && !api_error::is_already_exists(&error) {
            let message = api_error::message(&error);
            let (reason, message) = match is_new {
                true => ("FailedToCreateEndpoint", format!("Failed to create endpoint for service {key}: {message}")),
                false => ("FailedToUpdateEndpoint", format!("Failed to update endpoint {key}: {message}")),
            };
            self.recorder.event(wanted, EventType::Warning, reason, message);
        }
        Err(error)
    }
}

#[async_trait]
impl Controller for EndpointsController {
    fn name(&self) -> &str {
        "endpoints"
    }

    fn watches(&self) -> Vec<Watch> {
        let services = self.services.clone();
        let of_pod = move |change: &Change<LeanPod>| service_pods::affected(&services, change);
        let lost = |change: &Change<Endpoints>| match change {
            Change::Deleted(endpoints) => vec![ObjectKey::of(&**endpoints)],
            _ => Vec::new(),
        };
        let (services, endpoints) = (self.services.clone(), self.endpoints.clone());
        vec![
            Watch::objects(&self.services),
            Watch::mapped(&self.pods, of_pod),
            Watch::mapped(&self.endpoints, lost),
            Watch::source(move |queue, stop| left_over(services, endpoints, queue, stop)),
        ]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(service) = self.services.get(key) else {
            self.triggers.forget(key);
            self.delete(key).await?;
            return Ok(Action::Done);
        };
        let (Some(spec), Some(selector)) = (&service.spec, service_pods::selector(&service)) else {
            return Ok(Action::Done);
        };
        let pods = service_pods::selected(&service, selector, &self.pods);
        let trigger = self.triggers.next(&service, &pods);
        let (subsets, truncated) = subsets::of(&service, spec, &pods);
        let current = self.endpoints.get(key);
        let wanted = wanted(current.as_deref(), &service, spec, subsets, truncated);
        if current.is_none_or(|current| !tell_the_same(&current, &wanted)) {
            self.write(key, &with_trigger(wanted, trigger)).await?;
        }
        Ok(Action::Done)
    }

    fn workers(&self) -> usize {
        5
    }
}

/// Looks once, at the start, for Endpoints whose Service went while nobody looked.
async fn left_over(
    services: Informer<Service>,
    endpoints: Informer<Endpoints>,
    queue: WorkQueue<ObjectKey>,
    stop: CancellationToken,
) {
    let both = futures::future::join(services.synced(), endpoints.synced());
    if stop.run_until_cancelled(both).await.is_none() {
        return;
    }
    for key in endpoints.list().iter().map(|endpoints| ObjectKey::of(&**endpoints)) {
        if services.get(&key).is_none() {
            queue.add(key);
        }
    }
}

fn is_leaders(endpoints: &Endpoints) -> bool {
    endpoints.annotations().contains_key(LEADER)
}

/// The object as it should be, made of the one there is.
fn wanted(
    current: Option<&Endpoints>,
    service: &Service,
    spec: &ServiceSpec,
    subsets: Vec<EndpointSubset>,
    truncated: bool,
) -> Endpoints {
    let new = || ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        ..ObjectMeta::default()
    };
    let mut metadata = current.map_or_else(new, |current| current.metadata.clone());
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(service_pods::HEADLESS);
    if !service_pods::has_cluster_ip(spec) {
        labels.insert(service_pods::HEADLESS.to_owned(), String::new());
    }
    insert(&mut labels, MANAGED_BY);
    metadata.labels = Some(labels);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.remove(OVER_CAPACITY.0);
    if truncated {
        insert(annotations, OVER_CAPACITY);
    }
    metadata.annotations.take_if(|annotations| annotations.is_empty());
    Endpoints { metadata, subsets: (!subsets.is_empty()).then_some(subsets) }
}

fn insert(map: &mut BTreeMap<String, String>, (key, value): (&str, &str)) {
    map.insert(key.to_owned(), value.to_owned());
}

fn tell_the_same(a: &Endpoints, b: &Endpoints) -> bool {
    a.subsets == b.subsets && a.metadata.labels == b.metadata.labels && a.metadata.annotations == b.metadata.annotations
}

/// When that happened which is written now is told with it.
fn with_trigger(mut endpoints: Endpoints, trigger: Option<Timestamp>) -> Endpoints {
    let annotations = endpoints.metadata.annotations.get_or_insert_default();
    match trigger {
        Some(time) => insert(annotations, (service_pods::TRIGGER_TIME, &time.to_string())),
        None => drop(annotations.remove(service_pods::TRIGGER_TIME)),
    }
    endpoints
}
