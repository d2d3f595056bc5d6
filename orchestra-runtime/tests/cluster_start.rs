//! What a cluster says that does not start, and which nodes one has that does.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt, api::PostParams, runtime::wait::await_condition};
use orchestra_core::{
    clock::TokioClock,
    container_runtime::{ContainerRuntime, MockContainerRuntime, RuntimeError, RuntimeStatus, RuntimeVersion},
    store::{
        KeyRange, KeyValue, ListOptions, MockStore, Page, ReadAt, Revision, Store, StoreError, Transaction,
        WatchStream, Watcher,
    },
};
use orchestra_runtime::{
    Cluster, ClusterError,
    container::{ImageScript, MemoryRuntime},
};
use serde_json::json;
use tokio::{runtime::Handle, time::Instant};

const LIMIT: Duration = Duration::from_secs(30);

async fn error(builder: orchestra_runtime::ClusterBuilder) -> ClusterError {
    builder.start_timeout(LIMIT).start().await.expect_err("a cluster that cannot start")
}

fn memory() -> Arc<dyn ContainerRuntime> {
    Arc::new(MemoryRuntime::new())
}

/// Waits until nothing that was spawned is left.
async fn all_tasks_ended() {
    let ended = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("no task is left");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_be_reached_is_named() {
    let mut store = MockStore::new();
    let refused = || StoreError::Unavailable("connection refused".to_owned());
    store.expect_get().returning(move |_, _| Err(refused()));
    store.expect_list().returning(move |_, _| Err(refused()));
    store.expect_watch().returning(move |_, _| Err(refused()));
    store.expect_revision().returning(move || Err(refused()));
    let error = error(Cluster::builder().store(Arc::new(store))).await;
    assert_eq!(
        error.to_string(),
        "the API server did not start: built-in object /registry/namespaces/default: \
         the store is not available: connection refused"
    );
    all_tasks_ended().await;
}

struct Silent;

#[async_trait]
impl Watcher for Silent {
    async fn watch(&self, _: KeyRange, _: Revision) -> Result<WatchStream, StoreError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Store for Silent {
    async fn get(&self, _: &str, _: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        std::future::pending().await
    }

    async fn list(&self, _: &KeyRange, _: ListOptions) -> Result<Page, StoreError> {
        std::future::pending().await
    }

    async fn commit(&self, _: Transaction) -> Result<Revision, StoreError> {
        std::future::pending().await
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        std::future::pending().await
    }

    async fn compact(&self, _: Revision) -> Result<(), StoreError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_not_waited_for_without_end() {
    let begun = Instant::now();
    let error = error(Cluster::builder().store(Arc::new(Silent))).await;
    assert_eq!(error.to_string(), "the API server did not start within 30s: the store does not answer");
    assert_eq!(begun.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_name_that_no_node_can_have_is_refused_at_once() {
    for name in ["", "Node_1", "a/b", "-a", &"a".repeat(254)] {
        let error = error(Cluster::builder().node(name, memory())).await;
        assert!(matches!(&error, ClusterError::InvalidNodeName { name: refused, .. } if refused == name), "{error}");
    }
}

#[tokio::test]
async fn two_nodes_of_one_name_are_refused() {
    let error = error(Cluster::builder().node("node-2", memory()).nodes(2)).await;
    assert_eq!(error.to_string(), r#"node "node-2" is named twice"#);
}

#[tokio::test(start_paused = true)]
async fn numbered_nodes_are_numbered_on() {
    let cluster = Cluster::builder().nodes(2).node("mine", memory()).nodes(1).start().await.unwrap();
    let nodes = Api::<Node>::all(cluster.client()).list(&Default::default()).await.unwrap();
    let names: Vec<String> = nodes.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["mine", "node-1", "node-2", "node-3"]);
    cluster.shut_down().await;
}

/// A runtime that answers, but says of itself what `status` says.
fn runtime(version: Result<RuntimeVersion, RuntimeError>, status: RuntimeStatus) -> Arc<dyn ContainerRuntime> {
    let mut runtime = MockContainerRuntime::new();
    runtime.expect_use_clock().return_const(());
    runtime.expect_use_pod_cidr().return_const(());
    runtime.expect_version().returning(move || version.clone());
    runtime.expect_status().returning(move || Ok(status.clone()));
    runtime.expect_events().returning(|| Ok(stream::pending().boxed()));
    runtime.expect_list_pod_sandboxes().returning(|_| Ok(Vec::new()));
    runtime.expect_list_containers().returning(|_| Ok(Vec::new()));
    runtime.expect_container_stats().returning(|_| Ok(Vec::new()));
    Arc::new(runtime)
}

#[tokio::test(start_paused = true)]
async fn nodes_that_do_not_become_ready_are_named_with_the_reason_and_nothing_stays_behind() {
    let mut broken = RuntimeStatus::ready();
    broken.network.ready = false;
    broken.network.message = "no CNI plugin".to_owned();
    let down = runtime(Err(RuntimeError::Unavailable("no socket".to_owned())), RuntimeStatus::ready());
    let builder = Cluster::builder()
        .node("down", down)
        .node("good", memory())
        .node("broken", runtime(Ok(RuntimeVersion::default()), broken));
    let error = error(builder).await;
    assert_eq!(
        error.to_string(),
        "not ready within 30s: node \"down\" (not registered), \
         node \"broken\" (container runtime network not ready: NetworkReady=false reason: message:no CNI plugin)"
    );
    all_tasks_ended().await;
}

#[tokio::test(start_paused = true)]
async fn a_runtime_of_ones_own_lives_by_the_clock_of_the_cluster() {
    let script = ImageScript { exit_code_after: Some((Duration::from_secs(1), 1)), ..ImageScript::default() };
    let runtime = MemoryRuntime::new().image("crash", script);
    let clock = Arc::new(TokioClock::starting_at("2001-01-01T00:00:00Z".parse().unwrap()));
    let cluster = Cluster::builder().clock(clock).node("n1", Arc::new(runtime)).start().await.unwrap();
    let pods = Api::<Pod>::default_namespaced(cluster.client());
    let pod = json!({"metadata": {"name": "crash"}, "spec": {"containers": [{"name": "c", "image": "crash"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let restarts = |pod: Option<&Pod>| {
        let statuses = pod.and_then(|pod| pod.status.as_ref()).and_then(|status| status.container_statuses.as_ref());
        statuses.is_some_and(|all| all.iter().any(|status| status.restart_count == 3))
    };
    let begun = Instant::now();
    let pod = await_condition(pods, "crash", restarts).await.unwrap().unwrap();
    // Three crashes after a second each; the first restart is at once, the others back off for 10 and 20 seconds.
    assert_eq!(begun.elapsed().as_secs(), 33);
    let status = serde_json::to_value(pod.status.unwrap().container_statuses.unwrap()).unwrap();
    assert_eq!(status[0]["lastState"]["terminated"]["finishedAt"], "2001-01-01T00:00:13Z");
    cluster.shut_down().await;
}
