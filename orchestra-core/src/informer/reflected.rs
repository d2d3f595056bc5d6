use std::{fmt, sync::Arc};

use kube::Resource;
use serde::de::DeserializeOwned;

use crate::ObjectKey;

/// What an [`Informer`](super::Informer) keeps of the objects of a kind: every type of objects that can be [`Informed`] of keeps itself; other types keep
/// what they make of an object, as [`PodInfo`](crate::scheduler::PodInfo) does.
pub trait Reflected: fmt::Debug + Send + Sync + 'static {
    /// What the API server tells of.
    type Object: Informed;

    /// What is kept of `object`. `is_shared` says whether somebody else in this process keeps the object itself, so that to share it
    /// costs nothing.
    fn of(object: Arc<Self::Object>, is_shared: bool) -> Arc<Self>;

    /// Which object it is of, in which state.
    fn identity(&self) -> Identity<'_>;
}

/// Names a state of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Namespace and name.
    pub key: ObjectKey,
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

    fn of(object: Arc<K>, _: bool) -> Arc<K> {
        object
    }

    fn identity(&self) -> Identity<'_> {
        let metadata = self.meta();
        Identity {
            key: ObjectKey::of(self),
            uid: metadata.uid.as_deref(),
            resource_version: metadata.resource_version.as_deref(),
        }
    }
}
