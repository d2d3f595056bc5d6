//! What a line with faults does to calls and watches, and what it leaves whole.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
    runtime::watcher,
};
use orchestra_core::random::Generator;
use orchestra_store::{
    MemoryStore,
    apiserver::{ApiServer, Faults},
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

fn faults(seed: u64) -> Faults {
    Faults::new(Generator::seeded(seed))
}

/// A server, and its config maps over a line with these faults.
async fn behind(faults: Faults) -> (ApiServer, Api<ConfigMap>) {
    let server = ApiServer::builder(Arc::new(MemoryStore::default())).start().await.expect("the server starts");
    let client = Client::new(faults.wrap(server.router()), "default");
    (server, Api::default_namespaced(client))
}

fn config_map(name: &str) -> ConfigMap {
    serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).expect("the object is a config map")
}

/// Which of a hundred creates succeeded as far as the client knows, and which in fact.
async fn hundred_creates(faults: Faults) -> (BTreeSet<String>, BTreeSet<String>) {
    let (server, config_maps) = behind(faults).await;
    let mut acknowledged = BTreeSet::new();
    for i in 0..100 {
        let created = config_maps.create(&PostParams::default(), &config_map(&format!("c{i}"))).await;
        acknowledged.extend(created.ok().map(|created| created.name_any()));
    }
    let direct = Api::<ConfigMap>::default_namespaced(server.client("default"));
    let present = direct.list(&ListParams::default()).await.expect("the server answers");
    (acknowledged, present.iter().map(ResourceExt::name_any).filter(|name| name.starts_with('c')).collect())
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_are_not_done() {
    let (acknowledged, present) = hundred_creates(faults(1).failures(30)).await;
    assert!((50..90).contains(&acknowledged.len()), "{}", acknowledged.len());
    assert_eq!(acknowledged, present);
    let (_, config_maps) = behind(faults(1).failures(100)).await;
    let error = config_maps.list(&ListParams::default()).await.expect_err("all calls fail");
    assert!(matches!(error, kube::Error::Api(status) if status.code == 503 && status.reason == "ServiceUnavailable"));
}

#[tokio::test(start_paused = true)]
async fn writes_whose_answer_is_lost_are_done() {
    let (acknowledged, present) = hundred_creates(faults(2).lost_answers(30)).await;
    assert!((50..90).contains(&acknowledged.len()), "{}", acknowledged.len());
    assert_eq!(present.len(), 100);
    let (_, config_maps) = behind(faults(2).lost_answers(100)).await;
    let error = config_maps.create(&PostParams::default(), &config_map("a")).await.expect_err("all answers are lost");
    assert!(!matches!(error, kube::Error::Api(_)), "a lost answer tells nothing: {error}");
    assert!(config_maps.get("a").await.is_ok(), "reads lose nothing");
}

#[tokio::test(start_paused = true)]
async fn a_seed_strikes_the_same_calls_again() {
    let line = |seed| faults(seed).failures(10).lost_answers(10);
    let first = hundred_creates(line(3)).await;
    assert_eq!(first, hundred_creates(line(3)).await);
    assert_ne!(first, hundred_creates(line(4)).await);
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_up_to_twice_the_delay() {
    let (_, config_maps) = behind(faults(5).delay(SECOND)).await;
    let mut longest = Duration::ZERO;
    for i in 0..50 {
        let begun = Instant::now();
        config_maps.create(&PostParams::default(), &config_map(&format!("c{i}"))).await.expect("nothing fails");
        longest = longest.max(begun.elapsed());
    }
    assert!(SECOND < longest && longest < SECOND * 2, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lagging_watch_tells_everything_in_order_and_late() {
    let (server, config_maps) = behind(faults(6).lag(SECOND)).await;
    let direct = Api::<ConfigMap>::default_namespaced(server.client("default"));
    let mut events = config_maps.watch(&WatchParams::default(), "0").await.expect("the watch begins").boxed();
    let begun = Instant::now();
    let expected: Vec<String> = (10..40).map(|i| format!("c{i}")).collect();
    for name in &expected {
        direct.create(&PostParams::default(), &config_map(name)).await.expect("nothing fails");
    }
    let mut told = Vec::new();
    while told.len() < expected.len() {
        match events.try_next().await.expect("the watch goes on") {
            Some(WatchEvent::Added(object)) if object.name_any().starts_with('c') => told.push(object.name_any()),
            Some(WatchEvent::Added(_)) => {}
            other => panic!("not a new object: {other:?}"),
        }
    }
    assert_eq!(told, expected);
    assert!(Duration::ZERO < begun.elapsed() && begun.elapsed() < SECOND * 3, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_misses_nothing_though_its_watches_break() {
    let (server, config_maps) = behind(faults(7).broken_watches(30)).await;
    let direct = Api::<ConfigMap>::default_namespaced(server.client("default"));
    let events = watcher::watcher(config_maps, watcher::Config::default());
    let mut broken = 0;
    let mut events = std::pin::pin!(events.filter_map(|event| {
        broken += usize::from(event.is_err());
        std::future::ready(event.ok())
    }));
    let mut missing: BTreeSet<String> = (0..50).map(|i| format!("c{i}")).collect();
    for name in missing.clone() {
        direct.create(&PostParams::default(), &config_map(&name)).await.expect("nothing fails");
        while missing.contains(&name) {
            match events.next().await.expect("a watcher never ends") {
                watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                    missing.remove(&object.name_any());
                }
                _ => {}
            }
        }
    }
    assert!(broken > 5, "{broken}");
}
