//! Controllers, finalizers, events, and servers that go away.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace, Secret},
    events::v1::Event as K8sEvent,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        events::{Event, EventType, Recorder},
        finalizer::{Event as Finalizer, finalizer},
        reflector::ObjectRef,
        wait::{await_condition, conditions::is_deleted, delete::delete_and_finalize},
        watcher::{self, watcher},
    },
};
use orchestra_runtime::Cluster;
use orchestra_store::MemoryStore;
use serde_json::json;

use crate::world::{World, client, of};

/// Gives each map with the label `name` a secret, which has what the secret `source` has.
async fn copy(
    map: Arc<ConfigMap>,
    client: Arc<Client>,
) -> Result<Action, kube::runtime::finalizer::Error<kube::Error>> {
    let maps = Api::<ConfigMap>::default_namespaced((*client).clone());
    let secrets = Api::<Secret>::default_namespaced((*client).clone());
    finalizer(&maps, "example.com/copy", map, async |event| match event {
        Finalizer::Apply(map) => {
            let source = secrets.get_opt("source").await?;
            let mut secret: Secret = of(json!({"metadata": {"name": map.name_any()}}));
            secret.data = source.and_then(|source| source.data);
            secret.metadata.owner_references = Some(vec![map.controller_owner_ref(&()).unwrap()]);
            match secrets.create(&PostParams::default(), &secret).await {
                Err(kube::Error::Api(error)) if error.is_already_exists() => {
                    let patch = Patch::Merge(json!({"data": secret.data}));
                    secrets.patch(&map.name_any(), &PatchParams::default(), &patch).await.map(drop)?;
                }
                made => drop(made?),
            }
            Ok(Action::await_change())
        }
        Finalizer::Cleanup(map) => {
            let note = of(json!({"metadata": {"name": format!("{}-cleaned", map.name_any())}}));
            let _ = secrets.create(&PostParams::default(), &note).await;
            Ok(Action::await_change())
        }
    })
    .await
}

#[tokio::test]
async fn a_controller_follows_what_it_owns_and_what_it_watches() {
    let world = World::start().await;
    let labelled = watcher::Config::default().labels("name");
    let controller = Controller::new(world.api::<ConfigMap>(), labelled);
    let store = controller.store();
    let all = move |secret: Secret| {
        let refs: Vec<_> = store.state().iter().map(|map| ObjectRef::from_obj(&**map)).collect();
        refs.into_iter().filter(move |_| secret.name_any() == "source").collect::<Vec<_>>()
    };
    let running = controller
        .owns(world.api::<Secret>(), watcher::Config::default())
        .watches(world.api::<Secret>(), watcher::Config::default(), all)
        .run(copy, |_, _, _| Action::requeue(Duration::from_millis(10)), Arc::new(world.client.clone()));
    let running = tokio::spawn(running.for_each(async |_| ()));

    let (maps, secrets) = (world.api::<ConfigMap>(), world.api::<Secret>());
    world.config_map("a").await;
    let there = |found: Option<&Secret>| found.is_some();
    let secret = await_condition(secrets.clone(), "a", there).await.unwrap().unwrap();
    assert_eq!(maps.get("a").await.unwrap().finalizers(), ["example.com/copy"]);
    // What it owns comes back.
    secrets.delete("a", &DeleteParams::default()).await.unwrap();
    await_condition(secrets.clone(), "a", is_deleted(&secret.uid().unwrap())).await.unwrap();
    await_condition(secrets.clone(), "a", there).await.unwrap();
    // What it watches is followed.
    let source = of(json!({"metadata": {"name": "source"}, "stringData": {"k": "v"}}));
    secrets.create(&PostParams::default(), &source).await.unwrap();
    let copied = |found: Option<&Secret>| found.is_some_and(|secret| secret.data.is_some());
    let uid = await_condition(secrets.clone(), "a", copied).await.unwrap().unwrap().uid().unwrap();
    delete_and_finalize(maps.clone(), "a", &DeleteParams::default()).await.unwrap();
    assert!(secrets.get_opt("a-cleaned").await.unwrap().is_some());
    await_condition(secrets, "a", is_deleted(&uid)).await.unwrap();
    running.abort();
    world.end().await;
}

#[tokio::test]
async fn events_are_recorded_and_become_series() {
    let world = World::start().await;
    let map = world.config_map("a").await;
    let recorder = Recorder::new(world.client.clone(), "tester".into());
    let event = Event {
        type_: EventType::Warning,
        reason: "Seen".to_owned(),
        note: Some("it was seen".to_owned()),
        action: "Looking".to_owned(),
        secondary: None,
    };
    let namespace = Api::<Namespace>::all(world.client.clone()).get("default").await.unwrap();
    for _ in 0..3 {
        recorder.publish(&event, &map.object_ref(&())).await.unwrap();
        recorder.publish(&event, &namespace.object_ref(&())).await.unwrap();
    }
    let events = world.api::<K8sEvent>();
    let found = events.list(&ListParams::default().fields("reason=Seen,type=Warning")).await.unwrap().items;
    let counts: Vec<_> = found.iter().map(|event| event.series.as_ref().unwrap().count).collect();
    assert_eq!(counts, [3, 3]);
    world.end().await;
}

/// As of kube-apiserver, the watch cache of a server that starts has nothing from before: watchers that missed something are told so (410).
#[tokio::test]
async fn watchers_list_anew_when_the_server_is_back() {
    let store = MemoryStore::default();
    let start = async |listen: SocketAddr| {
        let cluster = Cluster::builder().nodes(0).store(Arc::new(store.clone())).start().await.unwrap();
        let address = cluster.serve(listen).await.unwrap();
        (cluster, address)
    };
    let (cluster, address) = start(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let maps = Api::<ConfigMap>::default_namespaced(client(&cluster.kubeconfig(address)).await);
    let map = |name: &str| of::<ConfigMap>(json!({"metadata": {"name": name, "labels": {"own": "yes"}}}));
    let mut applied =
        pin!(watcher(maps.clone(), watcher::Config::default().labels("own")).default_backoff().applied_objects());
    maps.create(&PostParams::default(), &map("a")).await.unwrap();
    assert_eq!(next(&mut applied).await, "a");
    let other = of(json!({"metadata": {"name": "other"}}));
    maps.create(&PostParams::default(), &other).await.unwrap();
    cluster.shut_down().await;
    let (cluster, _) = start(address).await;
    maps.create(&PostParams::default(), &map("b")).await.unwrap();
    assert_eq!([next(&mut applied).await, next(&mut applied).await], ["a", "b"]);
    cluster.shut_down().await;
}

/// The next object; what goes wrong meanwhile is what the watcher is to get over.
async fn next<S>(applied: &mut S) -> String
where
    S: futures::Stream<Item = Result<ConfigMap, watcher::Error>> + Unpin,
{
    loop {
        if let Ok(map) = applied.next().await.unwrap() {
            return map.name_any();
        }
    }
}
