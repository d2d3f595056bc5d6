use std::{fmt, sync::Arc};

use kube::Resource;
use serde::de::DeserializeOwned;

use super::Told;

/// What an [`Informer`](super::Informer) keeps of the objects of a kind: every type of objects that can be [`Informed`] of keeps itself; other types keep
/// what they make of an object, as [`PodInfo`](crate::scheduler::PodInfo) does.
pub trait Reflected: fmt::Debug + Send + Sync + 'static {
    /// What the API server tells of.
    type Object: Informed;

    /// What is kept of an object.
    fn of(told: &Told<Self::Object>) -> Arc<Self>;

    /// Which of the objects that had its name it is of, in which state.
    fn identity(&self) -> Identity<'_>;

    /// The object, told once more out of what is kept of it, to those who come late; `None` where not all of it is kept.
    fn tell(self: &Arc<Self>, is_kept: bool) -> Option<Told<Self::Object>> {
        let _ = is_kept;
        None
    }
}

/// Names a state of an object among all that its name stood for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Tells the object from others that had its name.
    pub uid: Option<&'a str>,
    /// Tells the state from others of the object.
    pub resource_version: Option<&'a str>,
}

/// What a type of API objects must be to be informed of: every k8s-openapi kind and every kube-derived custom resource is.
pub trait Informed:
    Reflected<Object = Self> + Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static
{
}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static> Informed for K {}

impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static> Reflected for K {
    type Object = K;

    fn of(told: &Told<K>) -> Arc<K> {
        Arc::clone(told.object())
    }

    fn identity(&self) -> Identity<'_> {
        let metadata = self.meta();
        Identity { uid: metadata.uid.as_deref(), resource_version: metadata.resource_version.as_deref() }
    }

    fn tell(self: &Arc<Self>, is_kept: bool) -> Option<Told<K>> {
        Some(Told::new(Arc::clone(self), is_kept))
    }
}
