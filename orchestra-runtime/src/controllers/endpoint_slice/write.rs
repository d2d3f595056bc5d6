use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use orchestra_core::ObjectKey;

use super::tracker::Tracker;
use crate::controllers::api_error;

/// The slices of a Service to write.
#[derive(Debug, Default)]
pub(in crate::controllers) struct Plan {
    pub(in crate::controllers) create: Vec<EndpointSlice>,
    pub(in crate::controllers) update: Vec<EndpointSlice>,
    pub(in crate::controllers) delete: Vec<Arc<EndpointSlice>>,
}

/// Carries out plans, and notes for the next one what was written.
pub(in crate::controllers) struct Writer {
    client: Client,
    tracker: Arc<Tracker>,
}

impl Writer {
    pub(in crate::controllers) fn new(client: Client, tracker: Arc<Tracker>) -> Self {
        Self { client, tracker }
    }

    /// Writes the slices of `service`. Those that come and change are written before others go, so that an endpoint that moves from one to
    /// another is always in one of them.
    pub(in crate::controllers) async fn carry_out(&self, service: &ObjectKey, plan: Plan) -> Result<(), kube::Error> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), service.namespace().unwrap_or_default());
        let created = join_all(plan.create.iter().map(|slice| self.create(&api, service, slice))).await;
        let updated = join_all(plan.update.iter().map(|slice| self.update(&api, service, slice))).await;
        created.into_iter().chain(updated).collect::<Result<(), _>>()?;
        let deleted = join_all(plan.delete.iter().map(|slice| self.delete(&api, service, slice))).await;
        deleted.into_iter().collect()
    }

    async fn create(
        &self,
        api: &Api<EndpointSlice>,
        service: &ObjectKey,
        slice: &EndpointSlice,
    ) -> Result<(), kube::Error> {
        match api.create(&PostParams::default(), slice).await {
            Ok(created) => self.tracker.wrote(service, &created.metadata),
            Err(error) if api_error::is_namespace_terminating(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn update(
        &self,
        api: &Api<EndpointSlice>,
        service: &ObjectKey,
        slice: &EndpointSlice,
    ) -> Result<(), kube::Error> {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        let updated = api.replace(name, &PostParams::default(), slice).await?;
        self.tracker.wrote(service, &updated.metadata);
        Ok(())
    }

    async fn delete(
        &self,
        api: &Api<EndpointSlice>,
        service: &ObjectKey,
        slice: &EndpointSlice,
    ) -> Result<(), kube::Error> {
        let name = slice.metadata.name.as_deref().unwrap_or_default();
        let same = Preconditions { uid: slice.metadata.uid.clone(), resource_version: None };
        match api.delete(name, &DeleteParams::default().preconditions(same)).await {
            Ok(_) => self.tracker.deleted(service, &slice.metadata),
            Err(error) if api_error::is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
