//! Publishes in each namespace the certificate authority by which pods know the API server.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::{Change, Informer},
};

use super::api_error;

const NAME: &str = "kube-root-ca.crt";
const KEY: &str = "ca.crt";
const DESCRIPTION: (&str, &str) = (
    "kubernetes.io/description",
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal \
     service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
);

/// Keeps a ConfigMap `kube-root-ca.crt` in each namespace that is not going away. The volume that every pod gets for its service
/// account projects it, and cannot be mounted without.
pub struct RootCaCertPublisher {
    client: Client,
    namespaces: Informer<Namespace>,
    published: Informer<ConfigMap>,
    certificate: String,
}

impl RootCaCertPublisher {
    /// Publishes `certificate`, in PEM; it is empty, as kube-controller-manager's is without `--root-ca-file`, where the API server
    /// has none. Call within a tokio runtime.
    pub fn new(context: &ControllerContext, certificate: impl Into<String>) -> Self {
        Self {
            client: context.client.clone(),
            namespaces: context.informers.informer::<Namespace>(),
            published: context.informers.selected::<ConfigMap>(&format!("metadata.name={NAME}")),
            certificate: certificate.into(),
        }
    }

    fn data(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(KEY.to_owned(), self.certificate.clone())])
    }

    fn config_map(&self) -> ConfigMap {
        let (annotation, description) = DESCRIPTION;
        let annotations = BTreeMap::from([(annotation.to_owned(), description.to_owned())]);
        let metadata =
            ObjectMeta { name: Some(NAME.to_owned()), annotations: Some(annotations), ..ObjectMeta::default() };
        ConfigMap { metadata, data: Some(self.data()), ..ConfigMap::default() }
    }

    fn is_right(&self, published: &ConfigMap) -> bool {
        let description = published.metadata.annotations.as_ref().and_then(|all| all.get(DESCRIPTION.0));
        published.data.as_ref() == Some(&self.data()) && description.is_some_and(|text| !text.is_empty())
    }

    /// What was changed, put right; whatever else there is stays.
    fn repaired(&self, published: &ConfigMap) -> ConfigMap {
        let mut config_map = published.clone();
        config_map.data = Some(self.data());
        let annotations = config_map.metadata.annotations.get_or_insert_default();
        annotations.insert(DESCRIPTION.0.to_owned(), DESCRIPTION.1.to_owned());
        config_map
    }
}

#[async_trait]
impl Controller for RootCaCertPublisher {
    fn name(&self) -> &str {
        "root-ca-certificate-publisher"
    }

    fn watches(&self) -> Vec<Watch> {
        let namespace = |change: &Change<ConfigMap>| {
            let metadata = &change.object().metadata;
            metadata.namespace.as_deref().map(ObjectKey::cluster).into_iter().collect()
        };
        vec![Watch::objects(&self.namespaces), Watch::mapped(&self.published, namespace)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let active = |namespace: &Namespace| namespace.metadata.deletion_timestamp.is_none();
        if !self.namespaces.get(key).is_some_and(|namespace| active(&namespace)) {
            return Ok(Action::Done);
        }
        let api = Api::<ConfigMap>::namespaced(self.client.clone(), key.name());
        match self.published.get(&ObjectKey::namespaced(key.name(), NAME)) {
            Some(published) if self.is_right(&published) => {}
            Some(published) => drop(api.replace(NAME, &PostParams::default(), &self.repaired(&published)).await?),
            None => match api.create(&PostParams::default(), &self.config_map()).await {
                // Told by the watch in a moment, or the namespace went or goes.
                Err(error)
                    if api_error::is_already_exists(&error)
                        || api_error::is_not_found(&error)
                        || api_error::is_namespace_terminating(&error) => {}
                other => drop(other?),
            },
        }
        Ok(Action::Done)
    }
}
