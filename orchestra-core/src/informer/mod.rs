//! Shared informers: one list-watch a type and process, whose objects all consumers share.
//!
//! ```text
//!   API server ──► list-watch ──► source: decodes each event once ──► Informer<Pod>: the objects themselves
//!                                                               ├──► Informer<Packed<Pod>>: all of them, in little room
//!                                                               └──► Informer<PodInfo>: what somebody makes of them
//! ```

mod alike;
mod cache;
mod change;
mod factory;
mod list_watch;
mod packed;
mod raw;
mod reflected;
mod source;
mod told;
mod wire;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use self::cache::Cache;
pub use self::{
    change::Change,
    factory::InformerFactory,
    list_watch::{follow, list_watch},
    packed::Packed,
    reflected::{Identity, Informed, Reflected},
    told::Told,
};
use crate::ObjectKey;

type Handler<K> = Arc<dyn Fn(&Change<K>) + Send + Sync>;

/// All objects of one kind, as the API server last told; a cheap handle that clones share.
///
/// Reads may be stale: they are the state at some recent revision, and every change arrives eventually, in order.
///
/// ```no_run
/// # async fn example(client: kube::Client) {
/// use k8s_openapi::api::core::v1::Pod;
/// use orchestra_core::{ObjectKey, informer::InformerFactory};
///
/// let informers = InformerFactory::new(client);
/// let pods = informers.informer::<Pod>();
/// pods.add_index("node", |pod| pod.spec.iter().filter_map(|spec| spec.node_name.clone()).collect());
/// pods.synced().await;
/// let on_n1 = pods.by_index("node", "n1");
/// let nginx = pods.get(&ObjectKey::namespaced("default", "nginx"));
/// # }
/// ```
pub struct Informer<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    cache: RwLock<Cache<K>>,
    handlers: Mutex<Handlers<K>>,
    /// Held while a change is applied and dispatched, and while a new handler is brought up to date, so that each handler
    /// sees every change once and in order.
    dispatch: Mutex<()>,
    synced: AtomicBool,
    /// Whether the API server said that there is no such kind.
    unserved: AtomicBool,
    /// Told when `synced` or `unserved` becomes true. Wakes those who wait in the order in which they came, unlike tokio's `watch`, which takes chances:
    /// one seed is to give one course of events.
    has_answered: Notify,
}

struct Handlers<K> {
    next_id: u64,
    entries: Vec<(u64, Handler<K>)>,
}

impl<K: Reflected> Informer<K> {
    fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                cache: RwLock::new(Cache::default()),
                handlers: Mutex::new(Handlers { next_id: 0, entries: Vec::new() }),
                dispatch: Mutex::new(()),
                synced: AtomicBool::new(false),
                unserved: AtomicBool::new(false),
                has_answered: Notify::new(),
            }),
        }
    }

    /// The object named `key`.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.cache.read().get(key)
    }

    /// All objects, in key order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.cache.read().list()
    }

    /// The objects of a namespace, in key order.
    pub fn list_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.shared.cache.read().list_namespace(namespace)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.cache.read().len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps the objects findable by the values that `values` gives for each. A name that is taken keeps its first function.
    pub fn add_index(&self, name: &'static str, values: impl Fn(&K) -> Vec<String> + Send + Sync + 'static) {
        self.shared.cache.write().add_index(name, Box::new(values));
    }

    /// The objects with `value` in the index `name`, in key order; none if there is no such index.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        self.shared.cache.read().by_index(name, value)
    }

    /// Calls `handler` with each object there is (as [`Change::Added`]) and then with each change, in order, until the
    /// subscription is dropped.
    ///
    /// The handler runs in the informer's task and holds up every other one, so it should do little: note a key in a
    /// queue. It may read the informer, which has the new state already; it must not subscribe to the same informer, nor start informers.
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(&self, handler: impl Fn(&Change<K>) + Send + Sync + 'static) -> Subscription {
        let _order = self.shared.dispatch.lock();
        for object in self.list() {
            handler(&Change::Added(object));
        }
        let mut handlers = self.shared.handlers.lock();
        let id = handlers.next_id;
        handlers.next_id += 1;
        handlers.entries.push((id, Arc::new(handler)));
        let shared = Arc::downgrade(&self.shared);
        Subscription {
            cancel: Some(Box::new(move || {
                if let Some(shared) = shared.upgrade() {
                    shared.handlers.lock().entries.retain(|(other, _)| *other != id);
                }
            })),
        }
    }

    /// Whether the first list has arrived and every handler has seen it.
    pub fn has_synced(&self) -> bool {
        self.shared.synced.load(Ordering::Acquire)
    }

    /// Waits until [`has_synced`](Self::has_synced).
    pub async fn synced(&self) {
        while !self.has_synced() {
            self.answered_but(|| self.has_synced()).await;
        }
    }

    /// Waits until [`has_synced`](Self::has_synced), or until the API server says that it does not serve the kind. It is asked again
    /// from time to time: a kind may come later.
    pub async fn answered(&self) {
        self.answered_but(|| self.has_synced() || self.shared.unserved.load(Ordering::Acquire)).await;
    }

    /// Waits for the next answer, unless `is_known` holds already.
    async fn answered_but(&self, is_known: impl FnOnce() -> bool) {
        let answered = self.shared.has_answered.notified();
        if !is_known() {
            answered.await;
        }
    }

    fn set_synced(&self) {
        self.shared.synced.store(true, Ordering::Release);
        self.shared.has_answered.notify_waiters();
    }

    fn set_unserved(&self) {
        self.shared.unserved.store(true, Ordering::Release);
        self.shared.has_answered.notify_waiters();
    }

    fn dispatch(&self, change: &Change<K>) {
        let handlers: Vec<Handler<K>> =
            self.shared.handlers.lock().entries.iter().map(|(_, h)| Arc::clone(h)).collect();
        for handler in handlers {
            handler(change);
        }
    }
}

impl<K> Clone for Informer<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K> fmt::Debug for Informer<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Informer").field("synced", &self.shared.synced).finish_non_exhaustive()
    }
}

/// A handler's tie to its informer; dropping it ends the calls.
pub struct Subscription {
    cancel: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Subscription {
    /// Keeps the handler for as long as the informer runs.
    pub fn forget(mut self) {
        self.cancel = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(cancel) = self.cancel.take() {
            cancel();
        }
    }
}
