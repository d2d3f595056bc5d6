//! Keeps an informer's cache in step with the API server: list, watch, and list again when the watch cannot go on.

use std::{collections::BTreeSet, sync::Arc};

use futures::StreamExt;
use kube::{
    Api, Client, Resource as _,
    runtime::watcher::{self, Event},
};

use super::{Change, Identity, Informer, Reflected, follow, list_watch::is_unserved};
use crate::ObjectKey;

/// What may be taken out of an object before it is cached.
pub(super) type Transform<K> = Arc<dyn Fn(&mut K) + Send + Sync>;

/// Runs until the future is dropped.
pub(super) async fn reflect<K: Reflected>(
    client: Client,
    config: watcher::Config,
    informer: Informer<K>,
    transform: Transform<K::Object>,
) {
    // The keys of a list in progress; what is not among them at its end is gone.
    let mut listed = BTreeSet::new();
    let events = watcher::watcher(Api::<K::Object>::all(client), config).inspect(|event| {
        if event.as_ref().is_err_and(is_unserved) {
            informer.set_unserved();
        }
    });
    follow(events, &K::Object::kind(&()), |event| informer.apply(event, &mut listed, &transform)).await;
}

impl<K: Reflected> Informer<K> {
    /// Keeps in step with what `base` tells.
    pub(super) fn derive(&self, base: &Informer<K::Object>) {
        let informer = self.clone();
        let hear = move |change: &Change<K::Object>| match change {
            Change::Added(object) | Change::Updated { new: object, .. } => {
                informer.put(K::of(Arc::clone(object), true))
            }
            Change::Deleted(object) => informer.delete(K::of(Arc::clone(object), true)),
        };
        base.subscribe(hear).forget();
    }

    /// Answers when `base` does.
    pub(super) async fn answer_with(self, base: Informer<K::Object>) {
        base.answered().await;
        if !base.has_synced() {
            self.set_unserved();
            base.synced().await;
        }
        self.set_synced();
    }

    fn apply(&self, event: Event<K::Object>, listed: &mut BTreeSet<ObjectKey>, transform: &Transform<K::Object>) {
        let kept = |mut object: K::Object| {
            transform(&mut object);
            K::of(Arc::new(object), false)
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.insert(ObjectKey::of(&object));
                self.put(kept(object));
            }
            Event::InitDone => {
                let present = self.shared.cache.read().keys();
                for key in present.difference(listed) {
                    self.remove(key);
                }
                listed.clear();
                self.set_synced();
            }
            Event::Apply(object) => self.put(kept(object)),
            Event::Delete(object) => self.delete(kept(object)),
        }
    }

    fn put(&self, object: Arc<K>) {
        let _order = self.shared.dispatch.lock();
        let Identity { key, uid, resource_version } = object.identity();
        let old = self.shared.cache.write().insert(key, Arc::clone(&object));
        let Some(old) = old else { return self.dispatch(&Change::Added(object)) };
        let before = old.identity();
        if before.resource_version == resource_version {
            // A list repeats what a watch has told before.
        } else if before.uid != uid {
            // Deleted and created again while nobody watched.
            self.dispatch(&Change::Deleted(Arc::clone(&old)));
            self.dispatch(&Change::Added(Arc::clone(&object)));
        } else {
            let (old, new) = (Arc::clone(&old), Arc::clone(&object));
            self.dispatch(&Change::Updated { old, new });
        }
    }

    /// `object` is the last state of what is gone.
    fn delete(&self, object: Arc<K>) {
        let _order = self.shared.dispatch.lock();
        if self.shared.cache.write().remove(&object.identity().key).is_some() {
            self.dispatch(&Change::Deleted(object));
        }
    }

    fn remove(&self, key: &ObjectKey) {
        let _order = self.shared.dispatch.lock();
        let old = self.shared.cache.write().remove(key);
        if let Some(old) = old {
            self.dispatch(&Change::Deleted(old));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;

    use super::*;

    fn config_map(name: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.namespace = Some("default".into());
        object.metadata.name = Some(name.into());
        object.metadata.uid = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    struct Log(Arc<Mutex<Vec<String>>>);

    impl Log {
        fn of(informer: &Informer<ConfigMap>) -> Self {
            let log = Arc::new(Mutex::new(Vec::new()));
            let sink = Arc::clone(&log);
            let entry = |kind: &str, object: &ConfigMap| {
                format!("{kind} {} {}", object.name_any(), object.resource_version().unwrap_or_default())
            };
            informer
                .subscribe(move |change| {
                    sink.lock().unwrap().push(match change {
                        Change::Added(object) => entry("added", object),
                        Change::Updated { new, .. } => entry("updated", new),
                        Change::Deleted(object) => entry("deleted", object),
                    });
                })
                .forget();
            Self(log)
        }

        fn take(&self) -> Vec<String> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    fn apply(informer: &Informer<ConfigMap>, events: Vec<Event<ConfigMap>>) {
        let mut listed = BTreeSet::new();
        let transform: Transform<ConfigMap> = Arc::new(|_| {});
        for event in events {
            informer.apply(event, &mut listed, &transform);
        }
    }

    fn list(objects: &[(&str, &str)]) -> Vec<Event<ConfigMap>> {
        let items = objects.iter().map(|(name, version)| Event::InitApply(config_map(name, version)));
        std::iter::once(Event::Init).chain(items).chain([Event::InitDone]).collect()
    }

    #[test]
    fn a_second_list_tells_only_the_differences() {
        let informer = Informer::new();
        let log = Log::of(&informer);
        apply(&informer, list(&[("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!(log.take(), ["added a 1", "added b 2", "added c 3"]);
        apply(&informer, list(&[("a", "1"), ("b", "5"), ("d", "6")]));
        assert_eq!(log.take(), ["updated b 5", "added d 6", "deleted c 3"]);
        assert_eq!(informer.len(), 3);
    }

    #[test]
    fn an_object_made_anew_is_told_as_deleted_and_added() {
        let informer = Informer::new();
        apply(&informer, list(&[("a", "1")]));
        let log = Log::of(&informer);
        let mut again = config_map("a", "9");
        again.metadata.uid = Some("other".into());
        apply(&informer, vec![Event::Apply(again)]);
        assert_eq!(log.take(), ["added a 1", "deleted a 1", "added a 9"]);
    }

    #[test]
    fn an_index_follows_every_change() {
        let informer = Informer::new();
        informer.add_index("version", |object: &ConfigMap| object.resource_version().into_iter().collect());
        apply(&informer, list(&[("a", "1"), ("b", "1")]));
        apply(&informer, vec![Event::Apply(config_map("a", "2")), Event::Delete(config_map("b", "1"))]);
        assert!(informer.by_index("version", "1").is_empty());
        assert_eq!(informer.by_index("version", "2").len(), 1);
    }

    #[test]
    fn a_dropped_subscription_is_not_called() {
        let informer = Informer::new();
        let calls = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&calls);
        let subscription = informer.subscribe(move |_: &Change<ConfigMap>| *counter.lock().unwrap() += 1);
        apply(&informer, list(&[("a", "1")]));
        drop(subscription);
        apply(&informer, vec![Event::Apply(config_map("a", "2"))]);
        assert_eq!(*calls.lock().unwrap(), 1);
    }
}
