use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
};

use futures::FutureExt;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Client, Resource, ResourceExt,
    runtime::watcher::{self, Event},
};
use orchestra_core::informer::{follow, list_watch};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{Missing, get};

/// What can be mounted and change while it is.
pub(in crate::kubelet) trait Mountable:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
    /// What messages call it.
    const KIND: &'static str;

    /// Whether it stays as it is.
    fn is_immutable(&self) -> bool;
}

impl Mountable for ConfigMap {
    const KIND: &'static str = "configmap";

    fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }
}

impl Mountable for Secret {
    const KIND: &'static str = "secret";

    fn is_immutable(&self) -> bool {
        self.immutable == Some(true)
    }
}

/// Called with the uid of a pod when what it mounts has changed.
pub(in crate::kubelet) type Wake = Arc<dyn Fn(&str) + Send + Sync>;

/// The objects of one kind that the node's pods mount: each is watched by itself, as a node may read no others, and as long as a pod
/// mounts it.
pub(in crate::kubelet) struct Watched<K> {
    client: Client,
    entries: Arc<Mutex<Entries<K>>>,
    wake: Wake,
    watches: TaskTracker,
    stop: CancellationToken,
}

type Entries<K> = BTreeMap<Key, Entry<K>>;
/// Namespace and name.
type Key = (String, String);

struct Entry<K> {
    state: Result<Arc<K>, Missing>,
    /// The uids of those who mount it.
    pods: BTreeSet<String>,
    /// Ends the watch when it is dropped. What is immutable is not watched.
    _watch: Option<DropGuard>,
}

impl<K: Mountable> Watched<K> {
    pub(in crate::kubelet) fn new(client: Client, wake: Wake) -> Self {
        let entries = Arc::default();
        Self { client, entries, wake, watches: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// The object as last heard of, for the pod with this uid, which is woken when it changes from now on.
    pub(in crate::kubelet) async fn get(&self, pod: &str, namespace: &str, name: &str) -> Result<Arc<K>, Missing> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(entry) = self.entries.lock().get_mut(&key) {
            entry.pods.insert(pod.to_owned());
            return entry.state.clone();
        }
        let state = get::<K>(&self.client, namespace, K::KIND, name).await;
        if state.as_ref().is_err_and(|missing| !missing.not_found) {
            return state;
        }
        let mut entries = self.entries.lock();
        let entry = entries.entry(key.clone()).or_insert_with(|| {
            let watched = !state.as_ref().is_ok_and(|object| object.is_immutable());
            Entry { state, pods: BTreeSet::new(), _watch: watched.then(|| self.watch(key)) }
        });
        entry.pods.insert(pod.to_owned());
        entry.state.clone()
    }

    /// The pod mounts nothing any more.
    pub(in crate::kubelet) fn release(&self, pod: &str) {
        self.entries.lock().retain(|_, entry| {
            entry.pods.remove(pod);
            !entry.pods.is_empty()
        });
    }

    /// Ends all watches.
    pub(in crate::kubelet) async fn shut_down(&self) {
        self.stop.cancel();
        self.watches.close();
        self.watches.wait().await;
    }

    fn watch(&self, key: Key) -> DropGuard {
        let stop = self.stop.child_token();
        let config = watcher::Config::default().fields(&format!("metadata.name={}", key.1));
        let events = list_watch::<K>(self.client.clone(), Some(&key.0), config);
        let (entries, wake) = (Arc::clone(&self.entries), Arc::clone(&self.wake));
        let until = stop.clone();
        self.watches.spawn(async move {
            let mut listed = None;
            let hear = |event| match event {
                Event::Init => listed = None,
                Event::InitApply(object) => listed = Some(object),
                Event::InitDone => see(&entries, &wake, &key, listed.take()),
                Event::Apply(object) => see(&entries, &wake, &key, Some(object)),
                Event::Delete(_) => see(&entries, &wake, &key, None),
            };
            until.run_until_cancelled(follow(events, K::KIND, hear).boxed()).await;
        });
        stop.drop_guard()
    }
}

/// Takes in what a watch told.
fn see<K: Mountable>(entries: &Mutex<Entries<K>>, wake: &Wake, key: &Key, object: Option<K>) {
    let pods = {
        let mut entries = entries.lock();
        let Some(entry) = entries.get_mut(key) else { return };
        let same = match (&entry.state, &object) {
            (Ok(old), Some(new)) => old.resource_version() == new.resource_version(),
            (Err(_), None) => true,
            _ => false,
        };
        if same {
            return;
        }
        entry.state = object
            .map(Arc::new)
            .ok_or_else(|| Missing { message: format!("{} {:?} not found", K::KIND, key.1), not_found: true });
        entry.pods.clone()
    };
    pods.iter().for_each(|pod| wake(pod));
}
