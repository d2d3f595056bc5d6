//! Watches, and what kube's runtime makes of them.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, WatchEvent, WatchParams},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt, predicates, reflector,
        utils::PredicateConfig,
        watcher::{self, Event, watch_object, watcher},
    },
};
use serde_json::json;

use crate::world::World;

fn labelled() -> watcher::Config {
    watcher::Config::default().labels("name")
}

#[tokio::test]
async fn watchers_list_then_watch_whatever_their_configuration() {
    let world = World::start().await;
    for name in ["a", "b", "c"] {
        world.config_map(name).await;
    }
    let configs = [
        labelled(),
        labelled().page_size(1),
        labelled().any_semantic(),
        labelled().streaming_lists(),
        labelled().timeout(1),
    ];
    for config in configs {
        let what = format!("{config:?}");
        let maps = world.api::<ConfigMap>();
        let mut events = pin!(watcher(maps.clone(), config));
        assert!(matches!(events.try_next().await.unwrap(), Some(Event::Init)), "{what}");
        let mut found = Vec::new();
        loop {
            match events.try_next().await.unwrap().unwrap() {
                Event::InitApply(map) => found.push(map.name_any()),
                Event::InitDone => break,
                other => panic!("{other:?}: {what}"),
            }
        }
        assert_eq!(found, ["a", "b", "c"], "{what}");
        world.config_map("d").await;
        let Some(Event::Apply(map)) = events.try_next().await.unwrap() else { panic!("{what}") };
        assert_eq!(map.name_any(), "d");
        maps.delete("d", &DeleteParams::default()).await.unwrap();
        let Some(Event::Delete(map)) = events.try_next().await.unwrap() else { panic!("{what}") };
        assert_eq!(map.name_any(), "d");
    }
    world.end().await;
}

#[tokio::test]
async fn watchers_of_metadata_see_what_others_see() {
    let world = World::start().await;
    let made = world.config_map("a").await;
    let maps = Api::<PartialObjectMeta<ConfigMap>>::default_namespaced(world.client.clone());
    let mut events = pin!(watcher(maps, labelled()).applied_objects());
    let seen = events.try_next().await.unwrap().unwrap();
    assert_eq!(seen.metadata, made.metadata);
    assert_eq!(seen.types.unwrap().kind, "PartialObjectMetadata");
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"x": "y"}}}));
    world.api::<ConfigMap>().patch("a", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(events.try_next().await.unwrap().unwrap().annotations()["x"], "y");
    world.end().await;
}

#[tokio::test]
async fn raw_watches_go_on_from_a_version() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let first = world.config_map("a").await.resource_version().unwrap();
    world.config_map("b").await;
    let params = WatchParams::default().labels("name").timeout(10);
    let mut events = pin!(maps.watch(&params, &first).await.unwrap());
    let Some(WatchEvent::Added(map)) = events.try_next().await.unwrap() else { panic!("not the next change") };
    assert_eq!(map.name_any(), "b");
    // Whatever no longer is selected is gone for who selects.
    let patch = Patch::Merge(json!({"metadata": {"labels": {"name": null}}}));
    maps.patch("b", &PatchParams::default(), &patch).await.unwrap();
    let Some(WatchEvent::Deleted(map)) = events.try_next().await.unwrap() else { panic!("not a deletion") };
    assert_eq!(map.name_any(), "b");
    let params = WatchParams::default().labels("name").initial_events().timeout(10);
    let mut events = pin!(maps.watch(&params, "").await.unwrap());
    let Some(WatchEvent::Added(map)) = events.try_next().await.unwrap() else { panic!("not what there is") };
    assert_eq!(map.name_any(), "a");
    let Some(WatchEvent::Bookmark(bookmark)) = events.try_next().await.unwrap() else { panic!("not the end of it") };
    assert_eq!(bookmark.metadata.annotations["k8s.io/initial-events-end"], "true");
    world.end().await;
}

#[tokio::test]
async fn a_single_object_is_watched_from_before_it_is_made_until_it_is_gone() {
    let world = World::start().await;
    let maps = world.api::<ConfigMap>();
    let mut states = pin!(watch_object(maps.clone(), "a"));
    assert_eq!(states.try_next().await.unwrap().unwrap(), None);
    world.config_map("a").await;
    assert_eq!(states.try_next().await.unwrap().unwrap().unwrap().name_any(), "a");
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(states.try_next().await.unwrap().unwrap(), None);
    world.end().await;
}

#[tokio::test]
async fn reflectors_keep_what_predicates_let_through() {
    let world = World::start().await;
    world.pod("one").await;
    let (reader, writer) = reflector::store::<Pod>();
    let stream = reflector(writer, watcher(world.api::<Pod>(), watcher::Config::default()))
        .applied_objects()
        .predicate_filter(predicates::labels, PredicateConfig::default());
    let mut stream = pin!(stream);
    assert_eq!(stream.next().await.unwrap().unwrap().name_any(), "one");
    let pods = world.api::<Pod>();
    for patch in [json!({"annotations": {"a": "b"}}), json!({"labels": {"c": "d"}})] {
        pods.patch("one", &PatchParams::default(), &Patch::Merge(json!({"metadata": patch}))).await.unwrap();
    }
    let next = stream.next().await.unwrap().unwrap();
    assert_eq!((next.labels()["c"].as_str(), next.annotations()["a"].as_str()), ("d", "b"));
    reader.wait_until_ready().await.unwrap();
    assert_eq!(reader.state().len(), 1);
    let key = reflector::ObjectRef::new("one").within("default");
    assert_eq!(reader.get(&key).unwrap().labels()["c"], "d");
    world.end().await;
}
