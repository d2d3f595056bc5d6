use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use orchestra_core::{
    ObjectKey,
    informer::{Change, Identity, Informer, InformerFactory, Packed, Reflected, Subscription, Told},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::Api;

struct Log {
    lines: mpsc::UnboundedReceiver<String>,
    _subscription: Subscription,
}

impl Log {
    fn of(informer: &Informer<ConfigMap>) -> Self {
        Self::of_kept(informer, |object| format!("{} {}", object.name_any(), object.labels()["app"]))
    }

    fn of_kept<K: Reflected>(informer: &Informer<K>, words: fn(&K) -> String) -> Self {
        let (sender, lines) = mpsc::unbounded_channel();
        let subscription = informer.subscribe(move |change| {
            let verb = match change {
                Change::Added(_) => "added",
                Change::Updated { .. } => "updated",
                Change::Deleted(_) => "deleted",
            };
            sender.send(format!("{verb} {}", words(change.object()))).unwrap();
        });
        Self { lines, _subscription: subscription }
    }

    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            let line = tokio::time::timeout(Duration::from_secs(60), self.lines.recv()).await;
            assert_eq!(line.expect(expected).as_deref(), Some(*expected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_and_indexes_follow_the_server() {
    let api = Api::default();
    api.put_config_map("a", "x");
    let informers = InformerFactory::new(api.client());
    let informer = informers.informer::<ConfigMap>();
    informer.add_index("app", |object| object.labels().get("app").cloned().into_iter().collect());
    let mut log = Log::of(&informer);
    informer.synced().await;
    api.put_config_map("b", "x");
    api.put_config_map("a", "y");
    api.change(|state| state.delete("configmaps", "b"));
    log.expect(&["added a x", "added b x", "updated a y", "deleted b x"]).await;
    assert!(informer.by_index("app", "x").is_empty());
    assert_eq!(informer.by_index("app", "y").len(), 1);
    informers.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn after_410_it_lists_anew_and_tells_the_difference() {
    let api = Api::default();
    for name in ["a", "b", "c"] {
        api.put_config_map(name, "old");
    }
    let informers = InformerFactory::new(api.client());
    let informer = informers.informer::<ConfigMap>();
    let mut log = Log::of(&informer);
    log.expect(&["added a old", "added b old", "added c old"]).await;
    api.until("the watch runs", |state| state.requests.len() >= 2).await;
    api.change(|state| {
        state.expire_watches();
        state.delete("configmaps", "a");
    });
    api.put_config_map("b", "new");
    api.put_config_map("d", "new");
    log.expect(&["updated b new", "added d new", "deleted a old"]).await;
    api.put_config_map("c", "newer");
    log.expect(&["updated c newer"]).await;
    assert!(informer.get(&ObjectKey::namespaced("default", "a")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_late_handler_sees_what_is_there_and_then_every_change() {
    let api = Api::default();
    api.put_config_map("a", "1");
    api.put_config_map("b", "1");
    let informers = InformerFactory::new(api.client());
    let informer = informers.informer::<ConfigMap>();
    let mut early = Log::of(&informer);
    early.expect(&["added a 1", "added b 1"]).await;
    api.put_config_map("a", "2");
    early.expect(&["updated a 2"]).await;
    let mut late = Log::of(&informer);
    api.put_config_map("c", "3");
    late.expect(&["added a 2", "added b 1", "added c 3"]).await;
    early.expect(&["added c 3"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_type_has_one_informer_and_one_copy_of_each_object() {
    let api = Api::default();
    api.put_config_map("a", "1");
    let informers = InformerFactory::new(api.client());
    let (one, two) = (informers.informer::<ConfigMap>(), informers.clone().informer::<ConfigMap>());
    one.synced().await;
    assert!(two.has_synced());
    let key = ObjectKey::namespaced("default", "a");
    assert!(Arc::ptr_eq(&one.get(&key).unwrap(), &two.get(&key).unwrap()));
}

/// All that is kept of a ConfigMap.
#[derive(Debug)]
struct App {
    key: ObjectKey,
    version: Option<String>,
    name: String,
    is_shared: bool,
}

impl Reflected for App {
    type Object = ConfigMap;

    fn of(told: &Told<ConfigMap>) -> Arc<Self> {
        let (key, version, name) =
            (told.key().clone(), told.object().resource_version(), &told.object().labels()["app"]);
        Arc::new(Self { key, version, name: name.clone(), is_shared: told.is_kept() })
    }

    fn identity(&self) -> Identity<'_> {
        Identity { uid: None, resource_version: self.version.as_deref() }
    }
}

impl App {
    fn words(&self) -> String {
        format!("{} {}{}", self.key.name(), self.name, if self.is_shared { " shared" } else { "" })
    }
}

#[tokio::test(start_paused = true)]
async fn less_than_the_objects_may_be_kept() {
    let api = Api::default();
    api.put_config_map("a", "1");
    let informers = InformerFactory::new(api.client());
    let apps = informers.informer::<App>();
    let mut log = Log::of_kept(&apps, App::words);
    apps.synced().await;
    api.put_config_map("a", "2");
    api.change(|state| state.delete("configmaps", "a"));
    log.expect(&["added a 1", "updated a 2", "deleted a 2"]).await;
    assert!(apps.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_the_objects_are_kept_there_is_one_watch_for_both() {
    let api = Api::default();
    api.put_config_map("a", "1");
    let informers = InformerFactory::new(api.client());
    let objects = informers.informer::<ConfigMap>();
    let apps = informers.informer::<App>();
    let mut log = Log::of_kept(&apps, App::words);
    apps.synced().await;
    assert!(objects.has_synced());
    api.put_config_map("a", "2");
    log.expect(&["added a 1 shared", "updated a 2 shared"]).await;
    assert_eq!(apps.get(&ObjectKey::namespaced("default", "a")).unwrap().name, "2");
    api.change(|state| state.delete("configmaps", "a"));
    log.expect(&["deleted a 2 shared"]).await;
    api.change(|state| assert_eq!(state.requests, ["GET configmaps", "GET configmaps"], "a list and a watch"));
    informers.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_hears_of_what_is_packed() {
    let api = Api::default();
    api.put_config_map("a", "1");
    let informers = InformerFactory::new(api.client());
    let packed = informers.informer::<Packed<ConfigMap>>();
    packed.synced().await;
    let apps = informers.informer::<App>();
    assert!(apps.has_synced());
    let mut log = Log::of_kept(&apps, App::words);
    api.put_config_map("a", "2");
    log.expect(&["added a 1", "updated a 2"]).await;
    let key = ObjectKey::namespaced("default", "a");
    assert_eq!(packed.get(&key).unwrap().object().labels()["app"], "2");
    let objects = informers.informer::<ConfigMap>();
    api.put_config_map("a", "3");
    log.expect(&["updated a 3 shared"]).await;
    let (object, packed) = (objects.get(&key).unwrap(), packed.get(&key).unwrap());
    assert!(Arc::ptr_eq(&object, &packed.object()), "what is kept anyway is not packed");
    api.change(|state| assert_eq!(state.requests, ["GET configmaps", "GET configmaps"], "a list and a watch"));
    informers.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_watches_where_nobody_can_tell_of_all() {
    let api = Api::default();
    api.put_config_map("a", "1");
    let informers = InformerFactory::new(api.client());
    informers.informer::<App>().synced().await;
    let objects = informers.informer::<ConfigMap>();
    let mut log = Log::of(&objects);
    log.expect(&["added a 1"]).await;
    api.until("there are two watches", |state| state.requests.len() == 4).await;
    informers.shut_down().await;
}

/// A ConfigMap whose data is not what a ConfigMap's can be.
fn put_nonsense(api: &Api, name: &str) {
    let metadata = json!({ "name": name, "namespace": "default", "uid": name });
    api.change(|state| state.put("configmaps", json!({ "metadata": metadata, "data": 5 })));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_not_passed_over() {
    let api = Api::default();
    api.put_config_map("a", "1");
    put_nonsense(&api, "b");
    let informers = InformerFactory::new(api.client());
    let informer = informers.informer::<ConfigMap>();
    api.until("it lists again", |state| state.requests.len() >= 5).await;
    assert!(!informer.has_synced(), "nobody takes a part for the whole");
    let mut log = Log::of(&informer);
    api.put_config_map("b", "1");
    informer.synced().await;
    log.expect(&["added a 1", "added b 1"]).await;

    api.until("the watch runs", |state| state.watches() == 1).await;
    put_nonsense(&api, "a");
    api.put_config_map("c", "1");
    // That comes after the other, and a list would tell of both.
    let seen = api.change(|state| state.requests.len());
    api.until("it lists again", |state| state.requests.len() > seen).await;
    api.put_config_map("a", "2");
    log.expect(&["updated a 2", "added c 1"]).await;
    informers.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_packed_is_what_is_told() {
    let api = Api::default();
    let put = |name: &str, metadata: Value| {
        let mut metadata = metadata;
        metadata["name"] = name.into();
        metadata["namespace"] = "default".into();
        api.change(|state| state.put("configmaps", json!({ "metadata": metadata, "data": { "k": "\u{e9}\\\"" } })));
    };
    put("plain", json!({ "labels": { "app": "x" } }));
    put("managed", json!({ "managedFields": [{ "manager": "kubectl", "operation": "Update" }] }));
    put("changed", json!({ "annotations": { "large": "text", "small": "text" } }));
    // Alike enough for the one to be kept as what tells it from the other.
    let long: String = (0..400).map(|number| format!("{number} ")).collect();
    put("long", json!({ "annotations": { "long": long } }));
    put("longer", json!({ "annotations": { "long": format!("{long}.") } }));
    for informers in [InformerFactory::new(api.client()), InformerFactory::compressed(api.client())] {
        informers.transform(|map: &mut ConfigMap| {
            map.annotations_mut().remove("large");
        });
        let packed = informers.informer::<Packed<ConfigMap>>();
        packed.synced().await;
        let get = |name: &str| packed.get(&ObjectKey::namespaced("default", name)).unwrap().object();
        for name in ["plain", "managed", "changed"] {
            assert_eq!(get(name).data.as_ref().unwrap()["k"], "\u{e9}\\\"");
        }
        assert_eq!(get("plain").labels()["app"], "x");
        assert_eq!(get("managed").metadata.managed_fields, None);
        assert_eq!(get("changed").annotations().keys().collect::<Vec<_>>(), ["small"]);
        assert_eq!(get("long").annotations()["long"], long);
        assert_eq!(get("longer").annotations()["long"], format!("{long}."));
        informers.shut_down().await;
    }
}
