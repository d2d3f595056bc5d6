use std::{collections::HashMap, io, net::IpAddr, sync::Arc};

use async_trait::async_trait;
use axum::Router;
use k8s_openapi::api::core::v1::Node;
use orchestra_core::container_runtime::ContainerRuntime;
use orchestra_store::apiserver::{Dial, Network, Upstream};
use parking_lot::RwLock;

/// The kubelets of this process and the pods that are simulated in it, without sockets; all else over TCP.
#[derive(Default)]
pub(super) struct InProcess {
    /// By their names.
    nodes: RwLock<HashMap<String, OwnNode>>,
}

struct OwnNode {
    kubelet: Router,
    runtime: Arc<dyn ContainerRuntime>,
}

impl InProcess {
    /// The API server reaches the kubelet of the node `name` by the router `kubelet` from now on, and its pods by `runtime`.
    pub(super) fn add(&self, name: &str, kubelet: Router, runtime: Arc<dyn ContainerRuntime>) {
        self.nodes.write().insert(name.to_owned(), OwnNode { kubelet, runtime });
    }
}

#[async_trait]
impl Network for InProcess {
    async fn kubelet(&self, node: &Node) -> io::Result<Upstream> {
        let name = node.metadata.name.as_ref();
        let known = name.and_then(|name| self.nodes.read().get(name).map(|node| node.kubelet.clone()));
        match known {
            Some(router) => Ok(Upstream::Router(router)),
            None => Dial.kubelet(node).await,
        }
    }

    async fn dial(&self, host: &str, port: u16) -> io::Result<Upstream> {
        if let Ok(address) = host.parse::<IpAddr>() {
            let runtimes: Vec<_> = self.nodes.read().values().map(|node| Arc::clone(&node.runtime)).collect();
            for runtime in runtimes {
                if let Some(connection) = runtime.dial(address, port).await {
                    return connection.map(Upstream::connected).map_err(io::Error::other);
                }
            }
        }
        Dial.dial(host, port).await
    }
}
