//! Ends what runs in a cluster.

use std::time::Duration;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{Namespace, Pod},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams},
};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

/// How long pods may take to end; their own grace is 30 seconds unless they say otherwise.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is looked whether they have.
const PAUSE: Duration = Duration::from_millis(50);

/// Deletes all pods and what would make new ones, and waits until they are gone. Fails if that takes too long, and names what is left.
pub(crate) async fn pods(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    for namespace in Api::<Namespace>::all(client.clone()).list(&ListParams::default()).await? {
        let namespace = namespace.name_any();
        delete::<Deployment>(client, &namespace).await?;
        delete::<ReplicaSet>(client, &namespace).await?;
        delete::<Pod>(client, &namespace).await?;
    }
    let pods = Api::<Pod>::all(client.clone());
    let gone = async {
        while !pods.list(&ListParams::default().limit(1)).await?.items.is_empty() {
            sleep(PAUSE).await;
        }
        Ok(())
    };
    if let Ok(gone) = timeout(LIMIT, gone).await {
        return gone;
    }
    let left: Vec<String> = pods.list(&ListParams::default()).await?.iter().map(ResourceExt::name_any).collect();
    Err(format!("pods that have not ended: {}", left.join(", ")).into())
}

async fn delete<K>(client: &Client, namespace: &str) -> Result<(), kube::Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    api.delete_collection(&DeleteParams::background(), &ListParams::default()).await.map(drop)
}
