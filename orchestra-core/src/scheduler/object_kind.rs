use std::{
    any::{Any, TypeId, type_name},
    cmp::Ordering,
    fmt,
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};

use super::Objects;
use crate::{
    ObjectKey,
    informer::{Change, Informed, InformerFactory, Subscription},
};

/// A kind of objects that a scheduler looks at beside nodes and pods.
///
/// ```
/// use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
/// use orchestra_core::scheduler::ObjectKind;
/// assert_eq!(ObjectKind::of::<Namespace>(), ObjectKind::of::<Namespace>());
/// assert_ne!(ObjectKind::of::<Namespace>(), ObjectKind::of::<PersistentVolume>());
/// ```
#[derive(Clone, Copy)]
pub struct ObjectKind {
    id: TypeId,
    type_name: &'static str,
    watch: fn(&InformerFactory, Handler) -> ObjectWatch,
}

type Handler = Box<dyn Fn(ObjectChange) + Send + Sync>;

impl ObjectKind {
    /// The kind of `K`.
    pub fn of<K: Informed>() -> Self {
        Self { id: TypeId::of::<K>(), type_name: type_name::<K>(), watch: watch::<K> }
    }

    /// Tells `handler` of each object there is and of each change, in order, until the watch is dropped. For what a handler may do see
    /// [`Informer::subscribe`](crate::informer::Informer::subscribe).
    pub fn watch(
        &self,
        informers: &InformerFactory,
        handler: impl Fn(ObjectChange) + Send + Sync + 'static,
    ) -> ObjectWatch {
        (self.watch)(informers, Box::new(handler))
    }
}

fn watch<K: Informed>(informers: &InformerFactory, handler: Handler) -> ObjectWatch {
    let informer = informers.informer::<K>();
    let subscription = informer.subscribe(move |change| handler(ObjectChange::from(change.clone())));
    let listed = async move { informer.answered().await }.boxed();
    ObjectWatch { kind: ObjectKind::of::<K>(), listed: Some(listed), _subscription: subscription }
}

impl PartialEq for ObjectKind {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for ObjectKind {}

impl PartialOrd for ObjectKind {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectKind {
    /// By name first: ids differ from one build to the next, and one seed is to give one course of events.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.type_name, self.id).cmp(&(other.type_name, other.id))
    }
}

impl fmt::Debug for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name.rsplit("::").next().unwrap_or(self.type_name))
    }
}

/// A watch of one kind; dropping it ends it.
pub struct ObjectWatch {
    kind: ObjectKind,
    /// `None` once it was awaited to its end.
    listed: Option<BoxFuture<'static, ()>>,
    _subscription: Subscription,
}

impl ObjectWatch {
    /// What is watched.
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// Waits until the handler has been told of all objects that there are, or the API server says that it does not serve the kind: then
    /// there are none. Can be dropped and called again.
    pub async fn listed(&mut self) {
        if let Some(listed) = &mut self.listed {
            listed.await;
            self.listed = None;
        }
    }
}

impl fmt::Debug for ObjectWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectWatch").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What happened to an object of any kind. A clone is cheap.
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::{Namespace, Secret};
/// use orchestra_core::{informer::Change, scheduler::ObjectChange};
/// let change = ObjectChange::from(Change::Added(Arc::new(Namespace::default())));
/// assert!(matches!(change.of::<Namespace>(), Some(Change::Added(_))));
/// assert!(change.of::<Secret>().is_none());
/// ```
#[derive(Clone)]
pub struct ObjectChange {
    change: Arc<dyn Erased>,
}

/// A [`Change`] of any type.
trait Erased: Send + Sync {
    fn kind(&self) -> ObjectKind;
    fn key(&self) -> ObjectKey;
    fn apply(&self, objects: &mut Objects);
    fn as_any(&self) -> &dyn Any;
}

impl<K: Informed> Erased for Change<K> {
    fn kind(&self) -> ObjectKind {
        ObjectKind::of::<K>()
    }

    fn key(&self) -> ObjectKey {
        ObjectKey::of(&**self.object())
    }

    fn apply(&self, objects: &mut Objects) {
        match self.new() {
            Some(object) => drop(objects.set(Arc::clone(object))),
            None => drop(objects.remove::<K>(&self.key())),
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl ObjectChange {
    /// What kind of object changed.
    pub fn kind(&self) -> ObjectKind {
        self.change.kind()
    }

    /// The object's key.
    pub fn key(&self) -> ObjectKey {
        self.change.key()
    }

    /// The change, if it is one of a `K`.
    pub fn of<K: Informed>(&self) -> Option<&Change<K>> {
        self.change.as_any().downcast_ref()
    }

    /// Does to `objects` what was done to the cluster.
    pub fn apply(&self, objects: &mut Objects) {
        self.change.apply(objects);
    }
}

impl<K: Informed> From<Change<K>> for ObjectChange {
    fn from(change: Change<K>) -> Self {
        Self { change: Arc::new(change) }
    }
}

impl fmt::Debug for ObjectChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectChange").field("kind", &self.kind()).field("key", &self.key()).finish()
    }
}
