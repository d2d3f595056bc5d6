//! The same pods through the API and the kubelet.

use std::{cell::Cell, collections::HashSet, time::Duration};

use futures::{StreamExt, future::try_join_all};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams},
};
use orchestra_core::condition;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Error, NODE};

/// What they run: an image that the machine has.
pub(crate) const IMAGE: &str = "docker.io/library/web:local";
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Pods {
    pods: Api<Pod>,
    nodes: Api<Node>,
    made: Cell<usize>,
}

impl Pods {
    pub(crate) fn new(client: Client) -> Self {
        Self { pods: Api::default_namespaced(client.clone()), nodes: Api::all(client), made: Cell::new(0) }
    }

    pub(crate) async fn node_is_ready(&self) -> Result<(), Error> {
        let ready = |node: Node| {
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            condition::find(&conditions, "Ready").is_some_and(|ready| ready.status == "True")
        };
        while !self.nodes.get_opt(NODE).await?.is_some_and(ready) {
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Creates `count` pods that are bound to the node already, and returns how long it took until the last was ready.
    pub(crate) async fn start(&self, count: usize) -> Result<Duration, Error> {
        let first = self.made.get();
        self.made.set(first + count);
        let pods: Vec<Pod> = (first..first + count).map(pod).collect::<Result<_, _>>()?;
        let mut waiting: HashSet<String> = pods.iter().map(ResourceExt::name_any).collect();
        let version = self.pods.list(&ListParams::default().limit(1)).await?.metadata.resource_version;
        let mut news = self.pods.watch(&WatchParams::default(), &version.unwrap_or_default()).await?.boxed();
        let begun = Instant::now();
        let parameters = PostParams::default();
        let create = try_join_all(pods.iter().map(|pod| self.pods.create(&parameters, pod)));
        let ready = async {
            while !waiting.is_empty() {
                match news.next().await {
                    Some(Ok(WatchEvent::Modified(pod))) if is_ready(&pod) => drop(waiting.remove(&pod.name_any())),
                    Some(Ok(WatchEvent::Error(status))) => return Err(kube::Error::Api(status).into()),
                    Some(news) => drop(news?),
                    None => return Err(Error::from("the watch ended")),
                }
            }
            Ok(begun.elapsed())
        };
        let (created, took) = tokio::join!(create, ready);
        created?;
        took
    }

    /// Deletes all pods, and waits until they are gone.
    pub(crate) async fn end(&self) -> Result<(), Error> {
        let at_once = DeleteParams::default().grace_period(1);
        self.pods.delete_collection(&at_once, &ListParams::default()).await?;
        while !self.pods.list(&ListParams::default().limit(1)).await?.items.is_empty() {
            sleep(PAUSE).await;
        }
        Ok(())
    }
}

fn pod(number: usize) -> serde_json::Result<Pod> {
    let container = json!({"name": "web", "image": IMAGE});
    serde_json::from_value(json!({
        "metadata": {"name": format!("pod-{number}")},
        "spec": {"nodeName": NODE, "containers": [container]},
    }))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    condition::find(conditions, "Ready").is_some_and(|ready| ready.status == "True")
}
