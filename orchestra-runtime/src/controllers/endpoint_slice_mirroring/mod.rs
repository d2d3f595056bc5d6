//! Mirrors Endpoints that somebody wrote by hand, for a Service without selector, to EndpointSlices: whoever routes traffic reads no other
//! form.

mod plan;

use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Endpoints, Service};
use kube::ResourceExt;
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    event_recorder::{EventRecorder, EventType},
    informer::Informer,
};

use super::endpoint_slice::{CATCH_UP, Plan, Slices};

const CONTROLLER_NAME: &str = "endpointslicemirroring-controller.k8s.io";
/// Endpoints that are not to be mirrored say so.
const SKIP: &str = "endpointslice.kubernetes.io/skip-mirror";
/// Leaders were once elected by annotations of Endpoints.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// Keeps slices that tell what the Endpoints of a Service without selector tell. They go with the Endpoints, which own them.
pub struct EndpointSliceMirroringController {
    services: Informer<Service>,
    endpoints: Informer<Endpoints>,
    slices: Slices,
    recorder: EventRecorder,
}

impl EndpointSliceMirroringController {
    /// A controller of all Endpoints. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self {
            services: context.informers.informer::<Service>(),
            endpoints: context.informers.informer::<Endpoints>(),
            slices: Slices::new(context, CONTROLLER_NAME),
            recorder: context.recorder("endpoint-slice-mirroring-controller"),
        }
    }

    /// The Endpoints, if they are to be mirrored: somebody keeps them for a Service that has no selector.
    fn mirrored(&self, key: &ObjectKey) -> Option<Arc<Endpoints>> {
        let service = self.services.get(key)?;
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        if selector.is_some_and(|selector| !selector.is_empty()) {
            return None;
        }
        let endpoints = self.endpoints.get(key)?;
        let skipped = endpoints.labels().get(SKIP).is_some_and(|skip| skip == "true");
        (!skipped && !endpoints.annotations().contains_key(LEADER)).then_some(endpoints)
    }

    /// Tells of what is left out.
    fn tell(&self, endpoints: &Endpoints, left: &plan::Left) {
        let plan::Left { invalid, too_many } = left;
        if *invalid > 0 {
            let message = format!("Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices");
            self.recorder.event(endpoints, EventType::Warning, "InvalidIPAddress", message);
        }
        if *too_many > 0 {
            let message = format!(
                "A max of 1000 addresses can be mirrored to EndpointSlices per Endpoints subset. {too_many} addresses were skipped"
            );
            self.recorder.event(endpoints, EventType::Warning, "TooManyAddressesToMirror", message);
        }
    }
}

#[async_trait]
impl Controller for EndpointSliceMirroringController {
    fn name(&self) -> &str {
        "endpointslicemirroring"
    }

    fn watches(&self) -> Vec<Watch> {
        vec![Watch::objects(&self.endpoints), Watch::objects(&self.services), self.slices.watch()]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(slices) = self.slices.of(key) else { return Ok(Action::RequeueAfter(CATCH_UP)) };
        let plan = match self.mirrored(key) {
            Some(endpoints) => {
                let (plan, left) = plan::plan(&endpoints, &slices);
                self.tell(&endpoints, &left);
                plan
            }
            None => Plan { delete: slices, ..Plan::default() },
        };
        self.slices.carry_out(key, plan).await?;
        Ok(Action::Done)
    }

    fn workers(&self) -> usize {
        5
    }
}
