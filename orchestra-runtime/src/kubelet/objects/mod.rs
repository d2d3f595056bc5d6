//! The ConfigMaps and Secrets of pods: as the API server has them now, and watched as long as they are mounted.

mod watched;

use std::{collections::BTreeMap, sync::Arc};

use futures::future::join_all;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

pub(super) use self::watched::{Wake, Watched};
use super::container::{Missing, References, Wanted};

/// What `wanted` names in `namespace`.
pub(super) async fn fetch(client: &Client, namespace: &str, wanted: Wanted) -> References {
    let (config_maps, secrets) = tokio::join!(
        join_all(wanted.config_maps.iter().map(|name| get(client, namespace, "configmap", name))),
        join_all(wanted.secrets.iter().map(|name| get(client, namespace, "secret", name))),
    );
    References {
        config_maps: wanted.config_maps.into_iter().zip(config_maps).collect(),
        secrets: wanted.secrets.into_iter().zip(secrets).collect(),
        // They are on the node.
        files: BTreeMap::new(),
    }
}

/// One object, or why it is not to be had: in the words of Kubernetes' kubelet, which names kinds, not resources.
pub(super) async fn get<K>(client: &Client, namespace: &str, kind: &str, name: &str) -> Result<Arc<K>, Missing>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    match Api::<K>::namespaced(client.clone(), namespace).get_opt(name).await {
        Ok(Some(object)) => Ok(Arc::new(object)),
        Ok(None) => Err(Missing { message: format!("{kind} {name:?} not found"), not_found: true }),
        Err(kube::Error::Api(status)) => Err(Missing { message: status.message.clone(), not_found: false }),
        Err(error) => Err(Missing { message: error.to_string(), not_found: false }),
    }
}
