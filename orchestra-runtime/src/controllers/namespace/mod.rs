//! Empties namespaces that are being deleted, and lets them go when they are empty.

mod conditions;
mod contents;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::{Change, Informer},
};

use self::contents::Contents;
use super::{api_error, served};
use crate::lean_pod::LeanPod;

/// The finalizer that keeps a namespace until it is empty.
const FINALIZER: &str = "kubernetes";

/// How soon to look again for what has finalizers: nobody tells when they are done.
const POLL: Duration = Duration::from_secs(2);

/// Deletes all that is in a namespace which is being deleted, pods first, tells by conditions what it waits for, and then removes the
/// namespace's finalizer.
pub struct NamespaceController {
    client: Client,
    namespaces: Informer<Namespace>,
    pods: Informer<LeanPod>,
    clock: Arc<dyn Clock>,
}

impl NamespaceController {
    /// A controller of all namespaces. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self {
            client: context.client.clone(),
            namespaces: context.informers.informer::<Namespace>(),
            pods: context.informers.informer::<LeanPod>(),
            clock: Arc::clone(&context.clock),
        }
    }

    async fn write_conditions(&self, namespace: Namespace, contents: &Contents) -> Result<Namespace, kube::Error> {
        let mut changed = namespace.clone();
        let status = changed.status.get_or_insert_default();
        status.phase = Some("Terminating".to_owned());
        conditions::set(status.conditions.get_or_insert_default(), contents, self.clock.now());
        if changed == namespace {
            return Ok(namespace);
        }
        let name = namespace.metadata.name.unwrap_or_default();
        Api::<Namespace>::all(self.client.clone()).replace_status(&name, &PostParams::default(), &changed).await
    }

    /// Removes the finalizer, after which the API server removes the namespace unless others hold it.
    async fn finalize(&self, mut namespace: Namespace) -> Result<(), kube::Error> {
        let name = namespace.metadata.name.clone().unwrap_or_default();
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        let api = Api::<Namespace>::all(self.client.clone());
        api.replace_subresource("finalize", &name, &PostParams::default(), &namespace).await.map(drop)
    }

    async fn empty(&self, namespace: Namespace) -> Result<Action, kube::Error> {
        let name = namespace.metadata.name.clone().unwrap_or_default();
        let contents = match served::discover(&self.client).await {
            Ok(served) => contents::delete_all(&self.client, &name, &served, self.clock.now()).await,
            Err(error) => Contents { discovery_failures: vec![error.to_string()], ..Contents::default() },
        };
        let namespace = self.write_conditions(namespace, &contents).await?;
        if !contents.is_empty() {
            // Pods that end wake the controller; this is for all else.
            return Ok(Action::RequeueAfter(contents.grace.map_or(POLL, |grace| (grace / 2).max(POLL))));
        }
        self.finalize(namespace).await?;
        Ok(Action::Done)
    }
}

#[async_trait]
impl Controller for NamespaceController {
    fn name(&self) -> &str {
        "namespace"
    }

    fn watches(&self) -> Vec<Watch> {
        let namespaces = self.namespaces.clone();
        let ended = move |change: &Change<LeanPod>| {
            let Change::Deleted(pod) = change else { return Vec::new() };
            let key = pod.metadata.namespace.as_deref().map(ObjectKey::cluster);
            key.filter(|key| namespaces.get(key).is_some_and(|namespace| is_leaving(&namespace))).into_iter().collect()
        };
        vec![Watch::objects(&self.namespaces), Watch::mapped(&self.pods, ended)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let Some(namespace) = self.namespaces.get(key).filter(|namespace| is_leaving(namespace)) else {
            return Ok(Action::Done);
        };
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(Action::Done);
        }
        match self.empty((*namespace).clone()).await {
            // It went while this reconcile still saw it.
            Err(error) if api_error::is_not_found(&error) => Ok(Action::Done),
            other => Ok(other?),
        }
    }

    fn workers(&self) -> usize {
        4
    }
}

fn is_leaving(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}
