//! Bindings of many pods at once: etcd takes so many keys in a transaction.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
    core::Request,
};
use orchestra_store::apiserver::ApiServer;
use serde_json::{Value, json};

use crate::server::Etcd;

/// One more than etcd takes (`--max-txn-ops`).
const MANY: usize = 129;

fn name(index: usize) -> String {
    format!("p{index:03}")
}

async fn create_pods(client: &Client) {
    let account: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": "default" } })).unwrap();
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &account).await.expect("it is created");
    for index in 0..MANY {
        let spec = json!({ "containers": [{ "name": "main", "image": "nginx" }] });
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "name": name(index) }, "spec": spec })).unwrap();
        Api::default_namespaced(client.clone()).create(&PostParams::default(), &pod).await.expect("it is created");
    }
}

/// Binds the pods of these numbers at once; the code and the message if that is refused.
async fn bind(client: &Client, pods: impl Iterator<Item = usize>) -> Result<(), (u16, String)> {
    let binding =
        |index: usize| json!({ "metadata": { "name": name(index) }, "target": { "kind": "Node", "name": "n" } });
    let items: Vec<Value> = pods.map(binding).collect();
    let list = json!({ "apiVersion": "v1", "kind": "BindingList", "items": items }).to_string();
    let request = Request::new("/api/v1/namespaces/default/bindings").create(&PostParams::default(), list.into_bytes());
    match client.request::<Value>(request.unwrap()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err((status.code, status.message.clone())),
        Err(error) => panic!("{error}"),
    }
}

/// The versions of pods that have a node, and how many those are.
async fn bound(client: &Client) -> (BTreeSet<String>, usize) {
    let pods = Api::<Pod>::default_namespaced(client.clone()).list(&ListParams::default()).await.expect("a list").items;
    let has_node = |pod: &&Pod| pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let versions: Vec<String> =
        pods.iter().filter(has_node).filter_map(|pod| pod.metadata.resource_version.clone()).collect();
    (versions.iter().cloned().collect(), versions.len())
}

/// The scheduler then binds each on its own, as where the server knows no lists.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_transaction_takes_are_refused_as_a_whole_and_fewer_are_bound_in_one() {
    let etcd = Etcd::start().await;
    let server = ApiServer::builder(Arc::new(etcd.store().await)).start().await.expect("a server");
    let client = server.client("default");
    create_pods(&client).await;
    let (code, message) = bind(&client, 0..MANY).await.unwrap_err();
    assert_eq!(code, 400, "{message}");
    assert!(message.contains("etcdserver: too many operations in txn request"), "{message}");
    assert_eq!(bound(&client).await.1, 0);
    bind(&client, 0..MANY - 1).await.expect("that is as many as etcd takes");
    let (versions, count) = bound(&client).await;
    assert_eq!((versions.len(), count), (1, MANY - 1), "in one transaction");
    bind(&client, MANY - 1..MANY).await.expect("one is no problem");
    assert_eq!(bound(&client).await.1, MANY);
}
