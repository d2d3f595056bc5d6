//! Where a kubelet hears of its pods: a field-selected watch of its own, or one informer for all kubelets of a process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{
    Client,
    runtime::watcher::{self, Event},
};
use orchestra_core::informer::{
    Change, Identity, Informer, InformerFactory, Packed, Reflected, Told, follow, list_watch,
};
use parking_lot::Mutex;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::held_pod::HeldPod;
use crate::pods_by_node::node_of;

/// The index of pods by their node.
const BY_NODE: &str = "node";

/// News of a node's pods.
pub(super) enum PodNews {
    /// The pod is new or changed.
    Is(HeldPod),
    /// The API server has no pod of this uid any more.
    Gone(Arc<str>),
    /// All pods there were have been told.
    Synced,
}

/// One informer's pods, handed out by node: what the kubelets of a process share, so that a thousand of them cost one watch.
#[derive(Clone)]
pub struct SharedPods {
    inner: Arc<Shared>,
}

struct Shared {
    informer: Informer<NodePod>,
    services: Informer<Service>,
    routes: Arc<Mutex<HashMap<String, UnboundedSender<PodNews>>>>,
}

/// What is kept of a pod for its node: all of it, in little room.
struct NodePod {
    packed: Arc<Packed<Pod>>,
    node: Option<Box<str>>,
    /// The pod while it is news: the node's kubelet gets it as it is.
    news: Mutex<Option<Arc<Pod>>>,
}

impl NodePod {
    fn held(&self) -> HeldPod {
        HeldPod::told(Arc::clone(&self.packed), self.news.lock().take())
    }
}

impl fmt::Debug for NodePod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodePod").field("pod", &self.packed).field("node", &self.node).finish_non_exhaustive()
    }
}

impl Reflected for NodePod {
    type Object = Pod;

    fn of(told: &Told<Pod>) -> Arc<Self> {
        let (packed, node) = (Arc::clone(told.packed()), node_of(told.object()).map(Box::from));
        let news = node.as_ref().map(|_| Arc::clone(told.object()));
        Arc::new(Self { packed, node, news: Mutex::new(news) })
    }

    fn identity(&self) -> Identity<'_> {
        self.packed.identity()
    }

    fn tell(self: &Arc<Self>, is_kept: bool) -> Option<Told<Pod>> {
        self.packed.tell(is_kept)
    }
}

impl SharedPods {
    /// The pods of the informers of this process. Where it is made before others ask for pods, there is one watch of them for all.
    pub fn new(informers: &InformerFactory) -> Self {
        let informer = informers.informer::<NodePod>();
        informer.add_index(BY_NODE, |pod: &NodePod| pod.node.iter().map(ToString::to_string).collect());
        let routes = Arc::new(Mutex::new(HashMap::<String, UnboundedSender<PodNews>>::new()));
        let to = Arc::clone(&routes);
        let route = move |change: &Change<NodePod>| {
            let pod = change.object();
            // Whoever does not hear of it now decodes it when he does. It is news no more, wherever it goes: decoded pods are large.
            let held = pod.held();
            let routes = to.lock();
            let Some(route) = pod.node.as_deref().and_then(|node| routes.get(node)) else { return };
            let news = match change {
                Change::Deleted(pod) => PodNews::Gone(pod.packed.uid().cloned().unwrap_or_default()),
                Change::Added(_) | Change::Updated { .. } => PodNews::Is(held),
            };
            // Nobody listens once the kubelet has stopped.
            let _ = route.send(news);
        };
        // For as long as there is the informer, whoever else is there, as it keeps the news.
        informer.subscribe(route).forget();
        let services = informers.informer();
        Self { inner: Arc::new(Shared { informer, services, routes }) }
    }

    async fn follow(&self, node: &str, sender: UnboundedSender<PodNews>) {
        self.inner.informer.synced().await;
        {
            // While the routes are locked no change is told, so none falls between the list and the first change.
            let mut routes = self.inner.routes.lock();
            for pod in self.inner.informer.by_index(BY_NODE, node) {
                let _ = sender.send(PodNews::Is(pod.held()));
            }
            let _ = sender.send(PodNews::Synced);
            routes.insert(node.to_owned(), sender.clone());
        }
        sender.closed().await;
        let mut routes = self.inner.routes.lock();
        if routes.get(node).is_some_and(UnboundedSender::is_closed) {
            routes.remove(node);
        }
    }
}

impl fmt::Debug for SharedPods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPods").field("nodes", &self.inner.routes.lock().len()).finish()
    }
}

/// The way a kubelet hears of its pods.
pub(super) enum PodSource {
    Watch(Client),
    Shared(SharedPods),
}

impl PodSource {
    /// The cluster's services, and what keeps them informed: nothing if that is shared.
    pub(super) fn services(&self, client: &Client) -> (Informer<Service>, Option<InformerFactory>) {
        match self {
            Self::Watch(_) => {
                let own = InformerFactory::new(client.clone());
                (own.informer(), Some(own))
            }
            Self::Shared(pods) => (pods.inner.services.clone(), None),
        }
    }

    /// Starts to tell; the second value does the work until it is dropped.
    pub(super) fn open(self, node: String) -> (UnboundedReceiver<PodNews>, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let telling = async move {
            match self {
                Self::Watch(client) => Box::pin(watch(client, &node, &sender)).await,
                Self::Shared(pods) => pods.follow(&node, sender).await,
            }
        };
        (receiver, telling)
    }
}

async fn watch(client: Client, node: &str, sender: &UnboundedSender<PodNews>) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
    let mut known = BTreeMap::<Arc<str>, ()>::new();
    let mut listed = BTreeSet::new();
    let events = list_watch::<Pod>(client, None, config);
    follow(events, "Pod", |event| tell(event, &mut known, &mut listed, sender)).await;
}

fn tell(
    event: Event<Pod>,
    known: &mut BTreeMap<Arc<str>, ()>,
    listed: &mut BTreeSet<Arc<str>>,
    sender: &UnboundedSender<PodNews>,
) {
    // The receiver outlives this, or nobody is interested any more.
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(mut pod) => {
            pod.metadata.managed_fields = None;
            listed.insert(uid_of(&pod));
            known.insert(uid_of(&pod), ());
            let _ = sender.send(told(pod));
        }
        Event::InitDone => {
            let gone: Vec<_> = known.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
            for uid in gone {
                known.remove(&uid);
                let _ = sender.send(PodNews::Gone(uid));
            }
            let _ = sender.send(PodNews::Synced);
        }
        Event::Apply(mut pod) => {
            pod.metadata.managed_fields = None;
            known.insert(uid_of(&pod), ());
            let _ = sender.send(told(pod));
        }
        Event::Delete(pod) => {
            known.remove(&uid_of(&pod));
            let _ = sender.send(PodNews::Gone(uid_of(&pod)));
        }
    }
}

fn told(pod: Pod) -> PodNews {
    PodNews::Is(HeldPod::told(Arc::new(Packed::new(&pod)), Some(Arc::new(pod))))
}

pub(super) fn uid_of(pod: &Pod) -> Arc<str> {
    pod.metadata.uid.as_deref().unwrap_or_default().into()
}
