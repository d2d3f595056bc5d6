use std::{collections::HashMap, io};

use async_trait::async_trait;
use axum::Router;
use k8s_openapi::api::core::v1::Node;
use orchestra_store::apiserver::{Dial, Network, Upstream};
use parking_lot::RwLock;

/// The kubelets of this process, without sockets; all else over TCP.
#[derive(Default)]
pub(super) struct InProcess {
    /// By the names of their nodes.
    kubelets: RwLock<HashMap<String, Router>>,
}

impl InProcess {
    /// The API server reaches the kubelet of the node `name` by `router` from now on.
    pub(super) fn add(&self, name: &str, router: Router) {
        self.kubelets.write().insert(name.to_owned(), router);
    }
}

#[async_trait]
impl Network for InProcess {
    async fn kubelet(&self, node: &Node) -> io::Result<Upstream> {
        let known = node.metadata.name.as_ref().and_then(|name| self.kubelets.read().get(name).cloned());
        match known {
            Some(router) => Ok(Upstream::Router(router)),
            None => Dial.kubelet(node).await,
        }
    }

    async fn dial(&self, host: &str, port: u16) -> io::Result<Upstream> {
        Dial.dial(host, port).await
    }
}
