//! An informer of an API server over etcd, while etcd fails.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use orchestra_core::{
    ObjectKey,
    clock::Clock,
    informer::{Change, InformerFactory},
    random::Generator,
    store::{Event, KeyRange, Precondition, Revision, Store, Transaction, Watcher},
};
use orchestra_store::{EtcdStore, apiserver::ApiServer};
use parking_lot::Mutex;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    act::next,
    cluster::leader,
    load::PATIENCE,
    proxy::{Line, Proxy},
    server::{Etcd, connect, options},
};

const WRITERS: usize = 4;
/// How many writes are acknowledged before and after a fault.
const SOME: usize = 100;

/// What an informer told, in order: of which object, its version, and whether it was deleted.
type Told = Arc<Mutex<Vec<(String, Revision, bool)>>>;

fn version(object: &ConfigMap) -> Revision {
    object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).expect("a version")
}

/// What writers were told.
#[derive(Default)]
struct Written {
    /// Versions that were acknowledged, each with its object.
    acknowledged: BTreeMap<Revision, String>,
    /// The codes of answers that were failures.
    failures: BTreeSet<u16>,
}

struct Writers {
    tasks: Vec<JoinHandle<Written>>,
    stop: watch::Sender<bool>,
    acknowledged: Arc<watch::Sender<usize>>,
}

impl Writers {
    fn start(client: &Client) -> Self {
        let (stop, acknowledged) = (watch::Sender::new(false), Arc::new(watch::Sender::new(0)));
        let write = |writer| {
            let api = Api::<ConfigMap>::default_namespaced(client.clone());
            tokio::spawn(write(writer, api, stop.subscribe(), Arc::clone(&acknowledged)))
        };
        Self { tasks: (0..WRITERS).map(write).collect(), stop, acknowledged }
    }

    /// Waits until that many more writes are acknowledged.
    async fn go_on(&self, more: usize) {
        let wanted = *self.acknowledged.borrow() + more;
        let mut acknowledged = self.acknowledged.subscribe();
        let reached = acknowledged.wait_for(|count| *count >= wanted);
        drop(timeout(PATIENCE, reached).await.expect("writes are not acknowledged"));
    }

    async fn stop(self) -> Written {
        self.stop.send_replace(true);
        let mut all = Written::default();
        for task in self.tasks {
            let Written { mut acknowledged, failures } = task.await.expect("a writer");
            all.acknowledged.append(&mut acknowledged);
            all.failures.extend(failures);
        }
        all
    }
}

/// Creates objects, changes each a few times, and deletes every other.
async fn write(
    writer: usize,
    api: Api<ConfigMap>,
    stop: watch::Receiver<bool>,
    acknowledged: Arc<watch::Sender<usize>>,
) -> Written {
    let mut written = Written::default();
    for round in 0.. {
        let name = format!("w{writer}-{}", round / 5);
        let outcome = match round % 5 {
            _ if *stop.borrow() => break,
            0 => {
                let object = json!({"metadata": {"name": name}, "data": {"round": round.to_string()}});
                let object = serde_json::from_value(object).expect("a config map");
                api.create(&PostParams::default(), &object).await.map(Some)
            }
            4 if round / 5 % 2 == 1 => api.delete(&name, &DeleteParams::default()).await.map(|_| None),
            _ => {
                let patch = Patch::Merge(json!({"data": {"round": round.to_string()}}));
                api.patch(&name, &PatchParams::default(), &patch).await.map(Some)
            }
        };
        match outcome {
            Ok(object) => {
                written.acknowledged.extend(object.map(|object| (version(&object), name)));
                acknowledged.send_modify(|count| *count += 1);
            }
            Err(kube::Error::Api(status)) => {
                // A write of unknown outcome may have happened; an object whose creation failed cannot be changed.
                assert!(matches!(status.code, 404 | 409 | 500 | 504), "{status:?}");
                written.failures.insert(status.code);
                sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("a server in this process fails with {error}"),
        }
    }
    written
}

/// Runs `faults` while objects are written, and compares what an informer saw with what the writers were told.
async fn an_informer_sees_everything_once(store: EtcdStore, faults: impl AsyncFnOnce(&Writers)) {
    let server = ApiServer::builder(Arc::new(store)).start().await.expect("a server");
    is_told_everything_once(server, faults).await;
}

async fn is_told_everything_once(server: ApiServer, faults: impl AsyncFnOnce(&Writers)) {
    let client = server.client("default");
    let informers = InformerFactory::new(client.clone());
    let informer = informers.informer::<ConfigMap>();
    let told = Told::default();
    let telling = Arc::clone(&told);
    let _subscription = informer.subscribe(move |change: &Change<ConfigMap>| {
        let object = change.new().or(change.old()).expect("one of the two");
        let name = object.metadata.name.clone().unwrap_or_default();
        telling.lock().push((name, version(object), change.new().is_none()));
    });
    informer.synced().await;
    let writers = Writers::start(&client);
    faults(&writers).await;
    writers.go_on(SOME).await;
    let Written { acknowledged, .. } = writers.stop().await;

    let api = Api::<ConfigMap>::default_namespaced(client);
    let end = serde_json::from_value(json!({"metadata": {"name": "end"}})).expect("a config map");
    api.create(&PostParams::default(), &end).await.expect("full service after the faults");
    let arrives = async {
        while informer.get(&ObjectKey::namespaced("default", "end")).is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, arrives).await.expect("the informer does not come to the end");

    let told = std::mem::take(&mut *told.lock());
    let versions: Vec<Revision> =
        told.iter().filter(|(.., deleted)| !deleted).map(|(_, version, _)| *version).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "an event came twice, or late");
    let seen: BTreeMap<Revision, &str> =
        told.iter().filter(|(.., deleted)| !deleted).map(|(name, version, _)| (*version, name.as_str())).collect();
    for (version, name) in &acknowledged {
        assert_eq!(seen.get(version), Some(&name.as_str()), "version {version} was acknowledged");
    }
    let listed = api.list(&Default::default()).await.expect("a list");
    let state: BTreeMap<&str, Revision> =
        listed.items.iter().map(|item| (item.metadata.name.as_deref().unwrap_or_default(), version(item))).collect();
    let known = informer.list_namespace("default");
    let known: BTreeMap<&str, Revision> =
        known.iter().map(|item| (item.metadata.name.as_deref().unwrap_or_default(), version(item))).collect();
    assert_eq!(known, state, "the informer's state is not the server's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_informer_sees_everything_once_though_etcd_is_killed_and_started_again() {
    let mut etcd = Etcd::start().await;
    let store = etcd.store().await;
    an_informer_sees_everything_once(store, async |writers: &Writers| {
        for _ in 0..2 {
            writers.go_on(SOME).await;
            etcd.kill();
            etcd.restart().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_informer_sees_everything_once_though_the_line_is_cut_and_healed() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::before(etcd.address()).await;
    let store = connect(options([proxy.url()])).await;
    an_informer_sees_everything_once(store, async |writers: &Writers| {
        for _ in 0..3 {
            writers.go_on(SOME).await;
            proxy.set(Line::Cut);
            sleep(Duration::from_millis(300)).await;
            proxy.set(Line::Whole);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_informer_sees_everything_once_though_a_leader_is_lost() {
    let mut members = Etcd::start_cluster(3).await;
    let store = connect(options(members.iter().map(Etcd::url))).await;
    an_informer_sees_everything_once(store, async |writers: &Writers| {
        writers.go_on(SOME).await;
        let lost = leader(&members);
        members[lost].kill();
    })
    .await;
}

/// A clock that is set back and forth by hours, at random.
struct Jumping(Generator);

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(3_600 * self.0.below(500_000))
    }
}

/// Revisions say what came before what, and etcd's own clock how long a key lives: the server's clock is written into objects only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_informer_sees_everything_once_though_the_clock_jumps() {
    let etcd = Etcd::start().await;
    let store = etcd.store().await;
    let now = store.revision().await.expect("a revision");
    let mut expires = store.watch(KeyRange::single("/expires"), now).await.expect("a watch");
    let begun = Instant::now();
    let ttl = Duration::from_secs(2);
    store.commit(Transaction::new().put_with_ttl("/expires", "x", Precondition::None, ttl)).await.expect("a commit");
    let clock = Arc::new(Jumping(Generator::seeded(5)));
    let server = ApiServer::builder(Arc::new(store)).clock(clock).start().await.expect("a server");
    is_told_everything_once(server, async |writers: &Writers| writers.go_on(5 * SOME).await).await;
    assert!(matches!(next(&mut expires).await, Event::Put { .. }));
    assert!(matches!(next(&mut expires).await, Event::Delete { .. }));
    assert!(begun.elapsed() >= ttl, "a key is gone before its time");
}

/// What Kubernetes wrote in protobuf is no object here; who put it right is not to have to start the server again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_with_a_value_that_cannot_be_read_is_served_again_when_that_is_put_right() {
    let etcd = Etcd::start().await;
    let server = ApiServer::builder(Arc::new(etcd.store().await)).start().await.expect("a server");
    let api = Api::<ConfigMap>::default_namespaced(server.client("default"));
    let informers = InformerFactory::new(server.client("default"));
    let informer = informers.informer::<ConfigMap>();
    informer.synced().await;
    let key = "/registry/configmaps/default/alien";
    let mut others = etcd_client::Client::connect([etcd.url()], None).await.expect("a client");
    others.put(key, b"k8s\0\n\x0f\n\x02v1\x12\x09ConfigMap", None).await.expect("a put");
    let refused = async {
        loop {
            match api.list(&Default::default()).await {
                Err(kube::Error::Api(status)) if status.message.contains(key) => break status,
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let status = timeout(PATIENCE, refused).await.expect("the key is named");
    assert_eq!(status.code, 500);
    etcd.ctl(&[
        "put",
        key,
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"alien","namespace":"default"}}"#,
    ]);
    let arrives = async {
        while informer.get(&ObjectKey::namespaced("default", "alien")).is_none() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, arrives).await.expect("the kind is not served again");
    api.delete("alien", &DeleteParams::default()).await.expect("full service");
}
