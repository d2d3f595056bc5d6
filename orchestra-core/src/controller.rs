//! The seam of controllers: [`Controller`] says what wakes it and reconciles one key; the
//! [manager](crate::manager::ControllerManager) does the rest.

use std::{error::Error, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use tokio_util::sync::CancellationToken;

use crate::{
    ObjectKey,
    clock::Clock,
    event_recorder::EventRecorder,
    informer::{Change, Informer, InformerFactory, Reflected, Subscription},
    random::Generator,
    work_queue::WorkQueue,
};

/// What a reconcile asks for when it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing until something changes.
    Done,
    /// Another reconcile after this time, also if nothing changes.
    RequeueAfter(Duration),
}

/// Why a reconcile failed; it is logged, and tried again with backoff.
pub type ReconcileError = Box<dyn Error + Send + Sync>;

/// Brings one object's actual state nearer to its desired state.
///
/// A controller is level-triggered: `reconcile` is told only *which* object may need work, reads the present state
/// (informers, possibly stale), and does what is missing. It must be idempotent, tolerate that its own last writes are not
/// visible yet, and return soon. The manager never runs two reconciles of one key at the same time.
///
/// ```
/// use orchestra_core::{ObjectKey, controller::{Action, Controller, ReconcileError, Watch}, informer::Informer};
/// use k8s_openapi::api::core::v1::ConfigMap;
///
/// struct Printer { config_maps: Informer<ConfigMap> }
///
/// #[async_trait::async_trait]
/// impl Controller for Printer {
///     fn name(&self) -> &str {
///         "printer"
///     }
///     fn watches(&self) -> Vec<Watch> {
///         vec![Watch::objects(&self.config_maps)]
///     }
///     async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError> {
///         println!("{key} {}", if self.config_maps.get(key).is_some() { "is there" } else { "is gone" });
///         Ok(Action::Done)
///     }
/// }
/// ```
#[async_trait]
pub trait Controller: Send + Sync + 'static {
    /// The controller's name, in logs and metrics.
    fn name(&self) -> &str;

    /// What wakes the controller.
    fn watches(&self) -> Vec<Watch>;

    /// Does the work of one object, which may be gone.
    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError>;

    /// How many keys may be reconciled at the same time.
    fn workers(&self) -> usize {
        1
    }
}

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A watch that has begun.
pub(crate) enum Started {
    /// Changes of an informer, and what is done when it has synced.
    Informer(Subscription, BoxFuture),
    /// A source that is to be driven; it returns when it is told to stop.
    Source(BoxFuture),
}

/// A source of keys for a controller: the changes of one kind of object, and which keys they concern.
pub struct Watch {
    start: Box<dyn FnOnce(WorkQueue<ObjectKey>, CancellationToken) -> Started + Send + Sync>,
}

impl Watch {
    /// Each changed object's own key.
    pub fn objects<K: Reflected + Resource>(informer: &Informer<K>) -> Self {
        Self::mapped(informer, |change| vec![ObjectKey::of(&**change.object())])
    }

    /// The controlling owner of each changed object, where it is of kind `owner_kind`; both owners if the owner changed.
    pub fn owned<K: Reflected + Resource>(informer: &Informer<K>, owner_kind: &'static str) -> Self {
        Self::mapped(informer, move |change| {
            let owner = |object: &Arc<K>| {
                let owner = controller_of(&**object).filter(|owner| owner.kind == owner_kind)?;
                Some(ObjectKey::new(object.meta().namespace.as_deref(), &owner.name))
            };
            let mut keys: Vec<ObjectKey> = change.old().into_iter().chain(change.new()).filter_map(owner).collect();
            keys.dedup();
            keys
        })
    }

    /// The keys that `keys` names for each change.
    pub fn mapped<K: Reflected>(
        informer: &Informer<K>,
        keys: impl Fn(&Change<K>) -> Vec<ObjectKey> + Send + Sync + 'static,
    ) -> Self {
        let informer = informer.clone();
        Self {
            start: Box::new(move |queue, _| {
                let subscription = informer.subscribe(move |change| {
                    for key in keys(change) {
                        queue.add(key);
                    }
                });
                Started::Informer(subscription, Box::pin(async move { informer.synced().await }))
            }),
        }
    }

    /// The keys that `run` adds to the queue. It is for sources that are no informer: begun with the controller, which does not wait for
    /// it before it works, but does when it stops: `run` returns, with its tasks joined, when its token is cancelled.
    pub fn source<F>(run: impl FnOnce(WorkQueue<ObjectKey>, CancellationToken) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { start: Box::new(move |queue, stop| Started::Source(Box::pin(run(queue, stop)))) }
    }

    /// Lets the keys flow into `queue` until `stop`.
    pub(crate) fn start(self, queue: WorkQueue<ObjectKey>, stop: CancellationToken) -> Started {
        (self.start)(queue, stop)
    }
}

/// The owner that manages `object`.
pub fn controller_of<K: Resource>(object: &K) -> Option<&OwnerReference> {
    object.meta().owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}

/// What controllers are made with.
#[derive(Clone)]
pub struct ControllerContext {
    /// For writes, and for the rare read that must not be stale.
    pub client: kube::Client,
    /// For reads.
    pub informers: InformerFactory,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub generator: Generator,
}

impl ControllerContext {
    /// A recorder of events whose source is `component`.
    pub fn recorder(&self, component: &str) -> EventRecorder {
        EventRecorder::new(self.client.clone(), component, Arc::clone(&self.clock))
    }
}

#[cfg(feature = "mocks")]
mockall::mock! {
    /// A [`Controller`] that does as it is told to.
    pub Controller {}

    #[async_trait]
    impl Controller for Controller {
        fn name(&self) -> &str;
        fn watches(&self) -> Vec<Watch>;
        async fn reconcile(&self, key: &ObjectKey) -> Result<Action, ReconcileError>;
        fn workers(&self) -> usize;
    }
}
