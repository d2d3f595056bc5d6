use std::{fmt, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tracing::error;

use super::{
    Identity, Informed, Reflected, Told,
    alike::{Alike, Different, Json},
};
use crate::ObjectKey;

/// An object in little room: it is kept encoded, and decoded by who asks for it. A decoded pod takes six times as much.
///
/// An [`Informer`](super::Informer) of packed objects is for those who have to do with many objects and look at few of them at a time:
/// to decode one takes some microseconds.
///
/// ```
/// use k8s_openapi::api::core::v1::Pod;
/// use orchestra_core::informer::Packed;
/// let mut pod = Pod::default();
/// pod.metadata.name = Some("web".to_owned());
/// let packed = Packed::new(&pod);
/// assert_eq!((packed.key().name(), &*packed.object()), ("web", &pod));
/// ```
pub struct Packed<K> {
    key: ObjectKey,
    uid: Option<Arc<str>>,
    resource_version: Option<Box<str>>,
    generation: Option<i64>,
    content: Content<K>,
}

enum Content<K> {
    /// Somebody else keeps it anyway.
    Whole(Arc<K>),
    Json(Box<str>),
    /// What others may differ from.
    Base(Arc<str>),
    Different(Different),
}

impl<K: Resource<DynamicType = ()> + Serialize> Packed<K> {
    /// Packs `object`.
    pub fn new(object: &K) -> Self
    where
        K: Clone,
    {
        let content = Content::of(object).unwrap_or_else(|| Content::Whole(Arc::new(object.clone())));
        Self::with(ObjectKey::of(object), object, content)
    }

    pub(super) fn told(told: &Told<K>) -> Self {
        let object = told.object();
        let packed = || {
            let content = told.take_json().map(Content::from).or_else(|| Content::of(&**object));
            content.map(|content| content.alike(told.alike(), object.meta()))
        };
        let content = if told.is_kept() { None } else { packed() };
        let content = content.unwrap_or_else(|| Content::Whole(Arc::clone(object)));
        Self::with(told.key().clone(), object, content)
    }

    fn with(key: ObjectKey, object: &K, content: Content<K>) -> Self {
        let metadata = object.meta();
        Self {
            key,
            uid: metadata.uid.as_deref().map(Arc::from),
            resource_version: metadata.resource_version.as_deref().map(Box::from),
            generation: metadata.generation,
            content,
        }
    }
}

impl<K: Serialize> Content<K> {
    fn of(object: &K) -> Option<Self> {
        match serde_json::to_string(object) {
            Ok(json) => Some(Self::Json(json.into())),
            Err(error) => {
                error!(%error, "an object that cannot be written is kept as it is");
                None
            }
        }
    }
}

impl<K> Content<K> {
    /// The same in less room, where there are others that the object may be like.
    fn alike(self, alike: Option<&Alike>, metadata: &ObjectMeta) -> Self {
        let (Some(alike), Self::Json(json)) = (alike, &self) else { return self };
        let mut owners = metadata.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true)).map(|owner| &*owner.uid);
        match alike.keep(owner, json) {
            Json::Whole(json) => Self::Base(json),
            Json::Different(different) => Self::Different(different),
        }
    }
}

impl<K> From<Box<RawValue>> for Content<K> {
    fn from(json: Box<RawValue>) -> Self {
        Self::Json(json.into())
    }
}

impl<K> Packed<K> {
    /// Namespace and name.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Tells the object from others that had its name. A clone takes no room of its own.
    pub fn uid(&self) -> Option<&Arc<str>> {
        self.uid.as_ref()
    }

    /// Tells one state of what is wanted of the object from others (`metadata.generation`).
    pub fn generation(&self) -> Option<i64> {
        self.generation
    }
}

impl<K: DeserializeOwned + Default> Packed<K> {
    /// The object. It is decoded at each call, so who needs it for longer keeps it as long.
    pub fn object(&self) -> Arc<K> {
        let decoded = match &self.content {
            Content::Whole(object) => return Arc::clone(object),
            Content::Json(json) => decode(json),
            Content::Base(json) => decode(json),
            Content::Different(different) => different.json().and_then(|json| decode(&json)),
        };
        Arc::new(decoded.unwrap_or_else(|error| {
            error!(key = %self.key, %error, "an object is not what was written of it");
            K::default()
        }))
    }
}

fn decode<K: DeserializeOwned>(json: &str) -> Result<K, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

impl<K> fmt::Debug for Packed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed")
            .field("key", &self.key)
            .field("version", &self.resource_version)
            .finish_non_exhaustive()
    }
}

impl<K: Informed + Serialize + Default> Reflected for Packed<K> {
    type Object = K;

    fn of(told: &Told<K>) -> Arc<Self> {
        Arc::clone(told.packed())
    }

    fn identity(&self) -> Identity<'_> {
        Identity { uid: self.uid.as_deref(), resource_version: self.resource_version.as_deref() }
    }

    fn tell(self: &Arc<Self>, is_kept: bool) -> Option<Told<K>> {
        Some(Told::packed_before(Arc::clone(self), self.object(), is_kept))
    }
}
