use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use crate::ObjectKey;

type IndexFn<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

/// The objects of one kind with their indexes.
pub(super) struct Cache<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    indexes: Vec<Index<K>>,
}

struct Index<K> {
    name: &'static str,
    values: IndexFn<K>,
    keys: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl<K> Index<K> {
    /// Most changes of an object leave it where it is.
    fn replace(&mut self, key: &ObjectKey, old: &K, new: &K) {
        let (before, now) = ((self.values)(old), (self.values)(new));
        if before != now {
            self.remove_from(key, before);
            self.insert_into(key, now);
        }
    }

    fn insert(&mut self, key: &ObjectKey, object: &K) {
        self.insert_into(key, (self.values)(object));
    }

    fn remove(&mut self, key: &ObjectKey, object: &K) {
        self.remove_from(key, (self.values)(object));
    }

    fn insert_into(&mut self, key: &ObjectKey, values: Vec<String>) {
        for value in values {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }

    fn remove_from(&mut self, key: &ObjectKey, values: Vec<String>) {
        for value in values {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), indexes: Vec::new() }
    }
}

impl<K> Cache<K> {
    pub(super) fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.objects.get(key).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn list(&self) -> Vec<Arc<K>> {
        self.objects.values().cloned().collect()
    }

    pub(super) fn keys(&self) -> BTreeSet<ObjectKey> {
        self.objects.keys().cloned().collect()
    }

    pub(super) fn list_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first = ObjectKey::namespaced(namespace, "");
        self.objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(|(key, _)| key.namespace() == Some(namespace))
            .map(|(_, object)| Arc::clone(object))
            .collect()
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: IndexFn<K>) {
        if self.indexes.iter().any(|index| index.name == name) {
            return;
        }
        let mut index = Index { name, values, keys: BTreeMap::new() };
        for (key, object) in &self.objects {
            index.insert(key, object);
        }
        self.indexes.push(index);
    }

    pub(super) fn by_index(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let index = self.indexes.iter().find(|index| index.name == name);
        let keys = index.and_then(|index| index.keys.get(value)).into_iter().flatten();
        keys.filter_map(|key| self.get(key)).collect()
    }

    /// Puts an object and returns what it replaces.
    pub(super) fn insert(&mut self, key: ObjectKey, object: Arc<K>) -> Option<Arc<K>> {
        let old = self.objects.get(&key).cloned();
        for index in &mut self.indexes {
            match &old {
                Some(old) => index.replace(&key, old, &object),
                None => index.insert(&key, &object),
            }
        }
        self.objects.insert(key, object);
        old
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        for index in &mut self.indexes {
            index.remove(key, &old);
        }
        Some(old)
    }
}
