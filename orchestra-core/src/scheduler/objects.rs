use std::{
    any::{Any, TypeId},
    fmt,
    sync::Arc,
};

use imbl::OrdMap;

use super::generation;
use crate::{ObjectKey, informer::Informed};

/// Objects of any kinds that schedulers look at beside nodes and pods, at one moment: claims, volumes, namespaces, budgets.
///
/// A clone costs nothing and does not change any more, as that of the [`Snapshot`](super::Snapshot) that it is part of. What is not there
/// may be of a kind that nobody [uses](super::Scheduler::uses).
///
/// ```
/// use std::sync::Arc;
/// use k8s_openapi::api::core::v1::{Namespace, PersistentVolume};
/// use orchestra_core::{ObjectKey, scheduler::Objects};
/// let mut namespace = Namespace::default();
/// namespace.metadata.name = Some("default".to_owned());
/// let mut objects = Objects::default();
/// objects.set(Arc::new(namespace));
/// assert!(objects.get::<Namespace>(&ObjectKey::cluster("default")).is_some());
/// assert_eq!((objects.iter::<Namespace>().count(), objects.iter::<PersistentVolume>().count()), (1, 0));
/// ```
#[derive(Clone, Default)]
pub struct Objects {
    /// By type; each one is a [`Table`] of it.
    tables: OrdMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

struct Table<K> {
    generation: u64,
    objects: OrdMap<ObjectKey, Arc<K>>,
}

impl Objects {
    /// The object with this key.
    pub fn get<K: Informed>(&self, key: &ObjectKey) -> Option<&Arc<K>> {
        self.table::<K>()?.objects.get(key)
    }

    /// All objects of a kind, in order of their keys.
    pub fn iter<K: Informed>(&self) -> impl Iterator<Item = &Arc<K>> {
        self.table::<K>().into_iter().flat_map(|table| table.objects.values())
    }

    /// The objects of a kind in a namespace, in order of their names.
    pub fn in_namespace<'a, K: Informed>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<K>> {
        let from = ObjectKey::namespaced(namespace, "");
        let behind = self.table::<K>().into_iter().flat_map(move |table| table.objects.range(from.clone()..));
        behind.take_while(move |(key, _)| key.namespace() == Some(namespace)).map(|(_, object)| object)
    }

    /// The number of the state of a kind's objects: where two snapshots, related or not, have the same, they have the same objects of it.
    /// Zero if there never was one.
    pub fn generation<K: Informed>(&self) -> u64 {
        self.table::<K>().map_or(0, |table| table.generation)
    }

    /// Adds an object, in the place of the one with its key, which is returned.
    pub fn set<K: Informed>(&mut self, object: Arc<K>) -> Option<Arc<K>> {
        self.change(|objects| objects.insert(ObjectKey::of(&*object), object))
    }

    /// Takes an object out.
    pub fn remove<K: Informed>(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        self.change(|objects| objects.remove(key))
    }

    fn table<K: Informed>(&self) -> Option<&Table<K>> {
        self.tables.get(&TypeId::of::<K>())?.downcast_ref()
    }

    fn change<K: Informed, T>(&mut self, change: impl FnOnce(&mut OrdMap<ObjectKey, Arc<K>>) -> T) -> T {
        let mut objects = self.table::<K>().map(|table| table.objects.clone()).unwrap_or_default();
        let changed = change(&mut objects);
        let table = Table { generation: generation::next(), objects };
        self.tables.insert(TypeId::of::<K>(), Arc::new(table));
        changed
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects").field("kinds", &self.tables.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};

    use super::*;

    fn config_map(namespace: &str, name: &str) -> Arc<ConfigMap> {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.name = Some(name.to_owned());
        Arc::new(object)
    }

    #[test]
    fn a_namespace_has_its_own_objects_only() {
        let mut objects = Objects::default();
        for (namespace, name) in [("a", "z"), ("b", "y"), ("b", "x"), ("ba", "w")] {
            objects.set(config_map(namespace, name));
        }
        let names: Vec<_> = objects.in_namespace::<ConfigMap>("b").map(|o| o.metadata.name.clone()).collect();
        assert_eq!(names, [Some("x".to_owned()), Some("y".to_owned())]);
        assert_eq!(objects.in_namespace::<Secret>("b").count(), 0);
    }

    #[test]
    fn a_clone_does_not_see_later_changes_and_keeps_its_number() {
        let mut objects = Objects::default();
        assert_eq!(objects.generation::<ConfigMap>(), 0);
        objects.set(config_map("a", "a"));
        let before = objects.clone();
        assert_eq!(before.generation::<ConfigMap>(), objects.generation::<ConfigMap>());
        assert!(objects.remove::<ConfigMap>(&ObjectKey::namespaced("a", "a")).is_some());
        assert_eq!((before.iter::<ConfigMap>().count(), objects.iter::<ConfigMap>().count()), (1, 0));
        assert_ne!(before.generation::<ConfigMap>(), objects.generation::<ConfigMap>());
    }
}
