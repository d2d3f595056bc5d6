//! The name of an object among those of its kind.

use std::{fmt, sync::Arc};

use kube::Resource;

/// Namespace (for namespaced kinds) and name. Cheap to clone; ordered by namespace, then name.
///
/// ```
/// use orchestra_core::ObjectKey;
/// assert_eq!(ObjectKey::namespaced("default", "nginx").to_string(), "default/nginx");
/// assert_eq!(ObjectKey::cluster("n1").to_string(), "n1");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectKey {
    namespace: Option<Arc<str>>,
    name: Arc<str>,
}

impl ObjectKey {
    /// The key of an object that is in `namespace`, or in none.
    pub fn new(namespace: Option<&str>, name: &str) -> Self {
        Self { namespace: namespace.map(Arc::from), name: name.into() }
    }

    /// The key of an object of a namespaced kind.
    pub fn namespaced(namespace: &str, name: &str) -> Self {
        Self::new(Some(namespace), name)
    }

    /// The key of an object of a cluster-scoped kind.
    pub fn cluster(name: &str) -> Self {
        Self::new(None, name)
    }

    /// The key of `object`; its name is empty if the object has none yet.
    pub fn of<K: Resource>(object: &K) -> Self {
        let metadata = object.meta();
        Self::new(metadata.namespace.as_deref(), metadata.name.as_deref().unwrap_or_default())
    }

    /// The namespace, unless the kind is cluster-scoped.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
