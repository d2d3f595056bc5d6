//! Gives each namespace its service account `default`, which pods run as that name no other.

use async_trait::async_trait;
use k8s_openapi::{
    api::core::v1::{Namespace, ServiceAccount},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::PostParams};
use orchestra_core::{
    ObjectKey,
    controller::{Action, Controller, ControllerContext, ReconcileError, Watch},
    informer::{Change, Informer},
};

use super::api_error;

const DEFAULT: &str = "default";

/// Creates the service account `default` in each namespace that has none and is not going away.
pub struct ServiceAccountController {
    client: Client,
    namespaces: Informer<Namespace>,
    accounts: Informer<ServiceAccount>,
}

impl ServiceAccountController {
    /// A controller of all namespaces. Call within a tokio runtime.
    pub fn new(context: &ControllerContext) -> Self {
        Self {
            client: context.client.clone(),
            namespaces: context.informers.informer::<Namespace>(),
            accounts: context.informers.informer::<ServiceAccount>(),
        }
    }
}

#[async_trait]
impl Controller for ServiceAccountController {
    fn name(&self) -> &str {
        "serviceaccount"
    }

    fn watches(&self) -> Vec<Watch> {
        let lost = |change: &Change<ServiceAccount>| match change {
            Change::Deleted(account) if account.metadata.name.as_deref() == Some(DEFAULT) => {
                account.metadata.namespace.as_deref().map(ObjectKey::cluster).into_iter().collect()
            }
            _ => Vec::new(),
        };
        vec![Watch::objects(&self.namespaces), Watch::mapped(&self.accounts, lost)]
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
        let active = |namespace: &Namespace| namespace.metadata.deletion_timestamp.is_none();
        let has_account = self.accounts.get(&ObjectKey::namespaced(key.name(), DEFAULT)).is_some();
        if has_account || !self.namespaces.get(key).is_some_and(|namespace| active(&namespace)) {
            return Ok(Action::Done);
        }
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(DEFAULT.to_owned()), ..ObjectMeta::default() },
            ..ServiceAccount::default()
        };
        let api = Api::<ServiceAccount>::namespaced(self.client.clone(), key.name());
        match api.create(&PostParams::default(), &account).await {
            Err(error) if api_error::is_already_exists(&error) || api_error::is_namespace_terminating(&error) => {}
            other => drop(other?),
        }
        Ok(Action::Done)
    }
}
