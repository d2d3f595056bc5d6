//! Keeps informers in step with the API server: list, watch, and list again when the watch cannot go on.

use std::{any::TypeId, collections::BTreeSet, sync::Arc};

use futures::StreamExt;
use kube::{
    Client,
    runtime::watcher::{self, Event},
};
use parking_lot::Mutex;

use super::{
    Change, Informed, Informer, Reflected, Told,
    alike::Alike,
    follow,
    list_watch::{decoded, is_unserved},
    wire::Decoded,
};
use crate::ObjectKey;

/// What may be taken out of an object before anybody is told of it, and whether anything was.
pub(super) type Transform<K> = Arc<dyn Fn(&mut K) -> bool + Send + Sync>;

/// One list-watch of a type of objects, with all informers that keep something of them: an event is decoded once for all.
pub(super) struct Source<K> {
    state: Mutex<State<K>>,
    /// Where what is packed is to take less room.
    alike: Option<Arc<Alike>>,
}

struct State<K> {
    /// In the order in which they came.
    informers: Vec<Box<dyn Hear<K>>>,
    /// Whether one of them keeps the objects themselves.
    is_kept: bool,
    /// Whether anything was told yet.
    began: bool,
    synced: bool,
    unserved: bool,
    /// The keys of a list in progress; what is not among them at its end is gone.
    listed: BTreeSet<ObjectKey>,
}

impl<K> Source<K> {
    /// `is_compressed` says whether what is packed is to take less room, and more time.
    pub(super) fn new(is_compressed: bool) -> Self {
        let state = State {
            informers: Vec::new(),
            is_kept: false,
            began: false,
            synced: false,
            unserved: false,
            listed: BTreeSet::new(),
        };
        Self { state: Mutex::new(state), alike: is_compressed.then(Arc::default) }
    }
}

/// An informer, whatever it keeps.
trait Hear<K>: Send + Sync {
    fn put(&self, told: &Told<K>);
    fn delete(&self, told: &Told<K>);
    /// Forgets what is not among `listed`: that is all there is.
    fn keep_only(&self, listed: &BTreeSet<ObjectKey>);
    fn set_synced(&self);
    fn set_unserved(&self);
    /// Tells once more of all that it keeps; `None` if that is not enough.
    fn tell_all(&self, is_kept: bool) -> Option<Vec<Told<K>>>;
}

impl<K: Informed> Source<K> {
    /// Has `informer` hear of the objects, and first of those there are; `false` if nobody here can tell of them any more.
    pub(super) fn join<R: Reflected<Object = K>>(&self, informer: &Informer<R>) -> bool {
        let mut state = self.state.lock();
        let is_kept = state.is_kept || TypeId::of::<R>() == TypeId::of::<K>();
        if state.began {
            let told = state.informers.iter().find_map(|other| other.tell_all(is_kept));
            let Some(told) = told else { return false };
            told.iter().for_each(|told| informer.put(told));
            if state.synced {
                informer.set_synced();
            }
            if state.unserved {
                informer.set_unserved();
            }
        }
        state.is_kept = is_kept;
        state.informers.push(Box::new(informer.clone()));
        true
    }

    /// Tells of what matches `config` until the future is dropped.
    pub(super) async fn run(self: Arc<Self>, client: Client, config: watcher::Config, transform: Transform<K>) {
        let events = decoded::<K, _>(client, None, config, |decoded| decoded).inspect(|event| {
            if event.as_ref().is_err_and(is_unserved) {
                self.set_unserved();
            }
        });
        follow(events, &K::kind(&()), |event| self.tell(event, &transform)).await;
    }

    fn set_unserved(&self) {
        let mut state = self.state.lock();
        state.unserved = true;
        state.informers.iter().for_each(|informer| informer.set_unserved());
    }

    pub(super) fn tell(&self, event: Event<Decoded<K>>, transform: &Transform<K>) {
        let mut state = self.state.lock();
        let State { informers, is_kept, began, synced, listed, .. } = &mut *state;
        *began = true;
        let told = |Decoded { mut object, json }: Decoded<K>| {
            let is_changed = transform(&mut object);
            let object = Arc::new(object);
            let told = if is_changed { Told::new(object, *is_kept) } else { Told::written(object, json, *is_kept) };
            told.among(self.alike.as_ref())
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                let told = told(object);
                listed.insert(told.key().clone());
                informers.iter().for_each(|informer| informer.put(&told));
            }
            Event::InitDone => {
                *synced = true;
                for informer in informers {
                    informer.keep_only(listed);
                    informer.set_synced();
                }
                listed.clear();
            }
            Event::Apply(object) => {
                let told = told(object);
                informers.iter().for_each(|informer| informer.put(&told));
            }
            Event::Delete(object) => {
                let told = told(object);
                informers.iter().for_each(|informer| informer.delete(&told));
            }
        }
    }
}

impl<R: Reflected> Hear<R::Object> for Informer<R> {
    fn put(&self, told: &Told<R::Object>) {
        let object = R::of(told);
        let _order = self.shared.dispatch.lock();
        let old = self.shared.cache.read().get(told.key());
        if old.as_ref().is_some_and(|old| old.identity() == object.identity()) {
            // A list repeats what a watch has told before.
            return;
        }
        self.shared.cache.write().insert(told.key().clone(), Arc::clone(&object));
        let Some(old) = old else { return self.dispatch(&Change::Added(object)) };
        if old.identity().uid != object.identity().uid {
            // Deleted and created again while nobody watched.
            self.dispatch(&Change::Deleted(Arc::clone(&old)));
            self.dispatch(&Change::Added(Arc::clone(&object)));
        } else {
            let (old, new) = (Arc::clone(&old), Arc::clone(&object));
            self.dispatch(&Change::Updated { old, new });
        }
    }

    /// It is told of in its last state.
    fn delete(&self, told: &Told<R::Object>) {
        let _order = self.shared.dispatch.lock();
        let old = self.shared.cache.write().remove(told.key());
        if old.is_some() {
            self.dispatch(&Change::Deleted(R::of(told)));
        }
    }

    fn keep_only(&self, listed: &BTreeSet<ObjectKey>) {
        let present = self.shared.cache.read().keys();
        for key in present.difference(listed) {
            let _order = self.shared.dispatch.lock();
            let old = self.shared.cache.write().remove(key);
            if let Some(old) = old {
                self.dispatch(&Change::Deleted(old));
            }
        }
    }

    fn set_synced(&self) {
        Informer::set_synced(self);
    }

    fn set_unserved(&self) {
        Informer::set_unserved(self);
    }

    fn tell_all(&self, is_kept: bool) -> Option<Vec<Told<R::Object>>> {
        self.list().iter().map(|kept| kept.tell(is_kept)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use serde_json::value::to_raw_value;

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

    fn apply(source: &Source<ConfigMap>, events: Vec<Event<ConfigMap>>) {
        let transform: Transform<ConfigMap> = Arc::new(|_| false);
        let decoded = |object| Decoded { json: to_raw_value(&object).unwrap(), object };
        for event in events {
            let event = match event {
                Event::Init => Event::Init,
                Event::InitApply(object) => Event::InitApply(decoded(object)),
                Event::InitDone => Event::InitDone,
                Event::Apply(object) => Event::Apply(decoded(object)),
                Event::Delete(object) => Event::Delete(decoded(object)),
            };
            source.tell(event, &transform);
        }
    }

    fn sourced() -> (Source<ConfigMap>, Informer<ConfigMap>) {
        let (source, informer) = (Source::new(false), Informer::new());
        assert!(source.join(&informer));
        (source, informer)
    }

    fn list(objects: &[(&str, &str)]) -> Vec<Event<ConfigMap>> {
        let items = objects.iter().map(|(name, version)| Event::InitApply(config_map(name, version)));
        std::iter::once(Event::Init).chain(items).chain([Event::InitDone]).collect()
    }

    #[test]
    fn a_second_list_tells_only_the_differences() {
        let (source, informer) = sourced();
        let log = Log::of(&informer);
        apply(&source, list(&[("a", "1"), ("b", "2"), ("c", "3")]));
        assert_eq!(log.take(), ["added a 1", "added b 2", "added c 3"]);
        apply(&source, list(&[("a", "1"), ("b", "5"), ("d", "6")]));
        assert_eq!(log.take(), ["updated b 5", "added d 6", "deleted c 3"]);
        assert_eq!(informer.len(), 3);
    }

    #[test]
    fn what_a_list_repeats_is_kept_as_it_was() {
        let (source, informer) = sourced();
        apply(&source, list(&[("a", "1")]));
        let before = informer.list();
        apply(&source, list(&[("a", "1")]));
        assert!(Arc::ptr_eq(&before[0], &informer.list()[0]));
    }

    #[test]
    fn an_object_made_anew_is_told_as_deleted_and_added() {
        let (source, informer) = sourced();
        apply(&source, list(&[("a", "1")]));
        let log = Log::of(&informer);
        let mut again = config_map("a", "9");
        again.metadata.uid = Some("other".into());
        apply(&source, vec![Event::Apply(again)]);
        assert_eq!(log.take(), ["added a 1", "deleted a 1", "added a 9"]);
    }

    #[test]
    fn an_index_follows_every_change() {
        let (source, informer) = sourced();
        informer.add_index("version", |object: &ConfigMap| object.resource_version().into_iter().collect());
        apply(&source, list(&[("a", "1"), ("b", "1")]));
        apply(&source, vec![Event::Apply(config_map("a", "2")), Event::Delete(config_map("b", "1"))]);
        assert!(informer.by_index("version", "1").is_empty());
        assert_eq!(informer.by_index("version", "2").len(), 1);
    }

    #[test]
    fn a_dropped_subscription_is_not_called() {
        let (source, informer) = sourced();
        let calls = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&calls);
        let subscription = informer.subscribe(move |_: &Change<ConfigMap>| *counter.lock().unwrap() += 1);
        apply(&source, list(&[("a", "1")]));
        drop(subscription);
        apply(&source, vec![Event::Apply(config_map("a", "2"))]);
        assert_eq!(*calls.lock().unwrap(), 1);
    }
}
