//! The scheduler as a process of its own, which is killed, and of which there are two.

use std::{collections::BTreeMap, fs::read_to_string, pin::pin, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, future};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::{PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

use crate::program::{Folder, Program};

const CLUSTER: &str = "--listen 127.0.0.1:0 --kubeconfig config --store memory --nodes 4 --without-scheduler";
const SCHEDULER: &str = "--listen 127.0.0.1:0 --kubeconfig config --config scheduler.yaml";
/// Leases that run out soon.
const CONFIG: &str = "apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: { leaseDuration: 3s, renewDeadline: 2s, retryPeriod: 500ms }
";
/// More than a scheduler binds before the test can kill it, fewer than four nodes hold.
const PODS: usize = 400;

struct World {
    folder: Folder,
    cluster: Program,
    client: Client,
}

impl World {
    async fn start() -> Self {
        let folder = Folder::new();
        folder.write("scheduler.yaml", CONFIG);
        let mut cluster = folder.start("standalone", CLUSTER);
        cluster.address().await;
        let kubeconfig = Kubeconfig::from_yaml(&read_to_string(folder.path("config")).unwrap()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        Self { folder, cluster, client }
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    async fn create_pods(&self) {
        let pods = self.pods();
        let create = |number: usize| {
            let pods = pods.clone();
            async move {
                let pod = json!({ "metadata": { "name": format!("p{number}") },
                                  "spec": { "containers": [{ "name": "c", "image": "pause" }] } });
                pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
            }
        };
        futures::stream::iter((0..PODS).map(create)).buffer_unordered(16).collect::<Vec<()>>().await;
    }

    /// Waits until so many pods have a node; no pod may have two, one after the other.
    async fn until_bound(&self, wanted: usize) {
        let mut nodes = BTreeMap::<String, String>::new();
        let events = self.pods().watch(&WatchParams::default(), "0").await.unwrap();
        let mut bound = pin!(events.try_filter_map(|event| {
            let pod = match event {
                WatchEvent::Added(pod) | WatchEvent::Modified(pod) => Some(pod),
                _ => None,
            };
            future::ok(pod.and_then(|pod| Some((pod.metadata.name?, pod.spec?.node_name?))))
        }));
        let all = async {
            while nodes.len() < wanted {
                let (pod, node) = bound.next().await.expect("the watch goes on").unwrap();
                let first = nodes.entry(pod.clone()).or_insert_with(|| node.clone());
                assert_eq!(*first, node, "{pod}");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap_or_else(|_| panic!("{wanted} bound"));
    }

    async fn end(self) {
        self.cluster.signal("TERM").await;
        assert_eq!(self.cluster.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_scheduler_that_is_killed_and_started_again_goes_on() {
    let world = World::start().await;
    let alone = format!("{SCHEDULER} --leader-elect false");
    let first = world.folder.start("scheduler", &alone);
    let (creating, killing) = (world.create_pods(), async {
        world.until_bound(PODS / 10).await;
        first.kill().await;
    });
    future::join(creating, killing).await;
    let mut second = world.folder.start("scheduler", &alone);
    let address = second.address().await;
    world.until_bound(PODS).await;
    let text = get(&format!("http://{address}/metrics")).await;
    let counted = text.lines().find_map(|line| {
        line.strip_prefix("scheduler_schedule_attempts_total{result=\"scheduled\",profile=\"default-scheduler\"} ")
    });
    assert!(counted.is_some_and(|count| count != "0"), "{text}");
    assert_eq!(get(&format!("http://{address}/readyz")).await, "ok");
    second.signal("TERM").await;
    assert_eq!(second.exit_code().await, Some(0));
    world.end().await;
}

#[tokio::test]
async fn of_two_schedulers_one_goes_on_when_the_leader_is_killed() {
    let world = World::start().await;
    let mut leader = world.folder.start("scheduler", SCHEDULER);
    leader.address().await;
    assert!(leader.line().await.starts_with("leading as "));
    let mut follower = world.folder.start("scheduler", SCHEDULER);
    follower.address().await;
    let (creating, killing) = (world.create_pods(), async {
        world.until_bound(PODS / 10).await;
        leader.kill().await;
    });
    future::join(creating, killing).await;
    assert!(follower.line().await.starts_with("leading as "));
    world.until_bound(PODS).await;
    follower.signal("TERM").await;
    assert_eq!(follower.exit_code().await, Some(0));
    world.end().await;
}

#[tokio::test]
async fn a_configuration_that_is_none_is_told() {
    let folder = Folder::new();
    folder.write(
        "scheduler.yaml",
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofile: []\n",
    );
    let line = folder.fails("scheduler", "--config scheduler.yaml").await;
    assert!(line.starts_with("scheduler.yaml: strict decoding error: profile: unknown field `profile`"), "{line}");
    let line = folder.fails("scheduler", "--config none.yaml").await;
    assert_eq!(line, "none.yaml: No such file or directory (os error 2)");
    let line = folder.fails("scheduler", "--kubeconfig none").await;
    assert!(line.starts_with("none: "), "{line}");
}

async fn get(url: &str) -> String {
    let uri: http::Uri = url.parse().unwrap();
    let config = Config::new(format!("http://{}", uri.authority().unwrap()).parse().unwrap());
    let request = http::Request::get(uri.path()).body(Vec::new()).unwrap();
    Client::try_from(config).unwrap().request_text(request).await.unwrap()
}
