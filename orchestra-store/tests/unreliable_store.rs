//! The API server over a store that fails: clients see a sound one, or are told in Kubernetes' words why not.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    runtime::watcher,
};
use orchestra_core::{random::Generator, store::Store};
use orchestra_store::{FaultyStore, MemoryStore, apiserver::ApiServer};
use serde_json::json;

/// A server over a line that is sound until it is switched on.
async fn over(line: &FaultyStore) -> Api<ConfigMap> {
    line.switch_off();
    let server = ApiServer::builder(Arc::new(line.clone())).start().await.unwrap();
    line.switch_on();
    Api::default_namespaced(server.client("default"))
}

fn line(store: &MemoryStore, seed: u64) -> FaultyStore {
    FaultyStore::new(Arc::new(store.clone()), Generator::seeded(seed))
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        data: Some(BTreeMap::from([("count".to_owned(), "0".to_owned())])),
        ..ConfigMap::default()
    }
}

fn status(error: kube::Error) -> kube::core::Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("no status: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_write_is_done_once_and_answered() {
    for seed in 0..5 {
        let store = MemoryStore::default();
        let line = line(&store, seed)
            .failures(10)
            .lost_requests(10)
            .lost_answers(10)
            .repeated_requests(10)
            .broken_watches(10)
            .delay(Duration::from_millis(10));
        let api = over(&line).await;
        let before = store.revision().await.unwrap();
        for i in 0..20 {
            let name = format!("c{i}");
            let created = api.create(&PostParams::default(), &config_map(&name)).await.unwrap();
            let mut latest = created;
            for count in 1..=3 {
                let mut next = latest.clone();
                next.data = Some(BTreeMap::from([("count".to_owned(), format!("{count} in {name}"))]));
                latest = api.replace(&name, &PostParams::default(), &next).await.unwrap();
            }
            let patch = Patch::Merge(json!({"data": {"patched": name}}));
            let patched = api.patch(&name, &PatchParams::default(), &patch).await.unwrap();
            let read = api.get(&name).await.unwrap();
            assert_eq!(patched, read);
            if i % 2 == 0 {
                api.delete(&name, &DeleteParams::default()).await.unwrap();
            }
        }
        assert_eq!(api.list(&ListParams::default().match_any()).await.unwrap().items.len(), 10);
        assert_eq!(store.revision().await.unwrap(), before + 20 * 5 + 10, "each write made one revision");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_is_a_server_timeout() {
    let store = MemoryStore::default();
    let line = line(&store, 1);
    let api = over(&line).await;
    api.create(&PostParams::default(), &config_map("a")).await.unwrap();
    line.cut();
    let patch = Patch::Merge(json!({"data": {"k": "v"}}));
    let failures = [
        ("get", status(api.get("a").await.unwrap_err())),
        ("list", status(api.list(&ListParams::default()).await.unwrap_err())),
        ("create", status(api.create(&PostParams::default(), &config_map("b")).await.unwrap_err())),
        ("update", status(api.patch("a", &PatchParams::default(), &patch).await.unwrap_err())),
        ("delete", status(api.delete("a", &DeleteParams::default()).await.unwrap_err())),
    ];
    for (operation, status) in failures {
        let expected = format!(
            "The {operation} operation against configmaps could not be completed at this time, please try again."
        );
        assert_eq!((status.code, &*status.reason, status.message), (500, "ServerTimeout", expected));
        let details = status.details.unwrap();
        assert_eq!((&*details.name, &*details.kind, details.retry_after_seconds), (operation, "configmaps", 2));
    }
    line.mend();
    assert!(api.get("a").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_outcome_cannot_be_found_out_is_a_timeout() {
    let store = MemoryStore::default();
    let line = line(&store, 2);
    let api = over(&line.clone().lost_answers(100).delay(Duration::from_secs(1))).await;
    let before = store.revision().await.unwrap();
    let creating = tokio::spawn({
        let api = api.clone();
        async move { api.create(&PostParams::default(), &config_map("a")).await }
    });
    while store.revision().await.unwrap() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    line.cut();
    let status = status(creating.await.unwrap().unwrap_err());
    assert_eq!((status.code, &*status.reason), (504, "Timeout"), "{}", status.message);
    line.mend();
    assert_eq!(api.get("a").await.unwrap().name_any(), "a", "it was done");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_misses_nothing_though_history_is_compacted_under_broken_watches() {
    for seed in 0..5 {
        let store = MemoryStore::default();
        let line = line(&store, seed).failures(10).broken_watches(30).early_compactions(30).lag(Duration::from_secs(1));
        let api = over(&line).await;
        let mut seen = BTreeMap::new();
        let mut events = std::pin::pin!(watcher::watcher(api.clone(), watcher::Config::default()));
        let writing = async {
            for round in 0..100 {
                let name = format!("c{}", round % 10);
                if api.delete(&name, &DeleteParams::default()).await.is_err() {
                    api.create(&PostParams::default(), &config_map(&name)).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            line.switch_off();
            api.create(&PostParams::default(), &config_map("end")).await.unwrap();
        };
        let watching = async {
            while !seen.contains_key("end") {
                match events.next().await.unwrap() {
                    Ok(watcher::Event::Init) => seen.clear(),
                    Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) => {
                        seen.insert(object.name_any(), object.resource_version());
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        seen.remove(&object.name_any());
                    }
                    Ok(watcher::Event::InitDone) | Err(_) => {}
                }
            }
        };
        tokio::join!(writing, watching);
        let listed = api.list(&ListParams::default()).await.unwrap();
        let there: BTreeMap<_, _> = listed.iter().map(|o| (o.name_any(), o.resource_version())).collect();
        assert_eq!(seen, there, "seed {seed}");
    }
}
