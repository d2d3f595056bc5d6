//! Which state lists and watches show, as `resourceVersion` and its companions say.

use std::sync::Arc;

use orchestra_core::store::Store;
use orchestra_store::{MemoryStore, apiserver::ApiServer};
use serde_json::{Value, json};

use crate::harness::{Answer, MAPS, Server, failure};

async fn over(store: &MemoryStore) -> Server {
    Server::over(ApiServer::builder(Arc::new(store.clone())).start().await.expect("a server").router())
}

/// Creates an object, labelled with its name; its version.
async fn create(server: &Server, name: &str) -> u64 {
    let object = json!({"metadata": {"name": name, "labels": {"is": name}}});
    version(&server.post(MAPS, object.to_string()).await.json())
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).expect("a version")
}

fn names(list: &Answer) -> Vec<String> {
    assert_eq!(list.code, 200, "{}", list.text());
    let list = list.json();
    let items = list["items"].as_array().expect("items").iter();
    items.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

/// The types of a watch's events, with what they are about: a name, or the version of a bookmark.
async fn watched(server: &Server, query: &str) -> Vec<String> {
    let answer = server.get(&format!("{MAPS}?watch=1&{query}")).await;
    let told = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("an event a line");
        let metadata = &event["object"]["metadata"];
        let end =
            if metadata["annotations"]["k8s.io/initial-events-end"] == "true" { " initial events end" } else { "" };
        let name = metadata["name"].as_str().or(metadata["resourceVersion"].as_str()).unwrap_or_default();
        format!("{} {name}{end}", event["type"].as_str().unwrap_or_default())
    };
    answer.text().lines().map(told).collect()
}

#[tokio::test]
async fn the_past_can_be_listed_as_long_as_it_is_kept() {
    let store = MemoryStore::default();
    let first = over(&store).await;
    let mut versions = Vec::new();
    for name in ["a", "b", "c", "d"] {
        versions.push(create(&first, name).await);
    }
    let gone = version(&first.get(&format!("{MAPS}?limit=1")).await.json());
    first.ask("DELETE", &format!("{MAPS}/a")).await;
    // The second has seen no event, so that the store has to tell.
    for server in [&first, &over(&store).await] {
        for (count, version) in (1..).zip(&versions) {
            let exact = format!("{MAPS}?resourceVersionMatch=Exact&resourceVersion={version}");
            let list = server.get(&exact).await;
            assert_eq!(names(&list), ["a", "b", "c", "d"][..count]);
            assert_eq!(list.json()["metadata"], json!({"resourceVersion": version.to_string()}));
            let some = server.get(&format!("{exact}&labelSelector=is+in+(a,c,d)&limit=2")).await;
            assert_eq!(names(&some), ["a", "c"][..count.div_ceil(2).min(2)]);
            assert_eq!(some.json()["metadata"]["continue"].is_string(), count == 4, "{}", some.text());
        }
        assert_eq!(
            names(&server.get(&format!("{MAPS}?resourceVersionMatch=NotOlderThan&resourceVersion={gone}")).await),
            ["b", "c", "d"]
        );
    }
    store.compact(gone).await.expect("compacts");
    let exact = format!("{MAPS}?resourceVersionMatch=Exact&resourceVersion={}", versions[1]);
    let expired = over(&store).await.get(&exact).await;
    assert_eq!(expired.failure(), failure(410, "The resourceVersion for the provided list is too old."));
    assert_eq!(expired.json()["reason"], "Expired");
}

#[tokio::test]
async fn pages_go_on_in_the_state_of_the_first_or_say_that_it_is_gone() {
    let store = MemoryStore::default();
    let first = over(&store).await;
    for name in ["a", "b", "c", "d"] {
        create(&first, name).await;
    }
    let page = first.get(&format!("{MAPS}?limit=2")).await;
    assert_eq!(
        (names(&page), &page.json()["metadata"]["remainingItemCount"]),
        (vec!["a".into(), "b".into()], &json!(2))
    );
    let metadata = page.json()["metadata"].clone();
    let token = metadata["continue"].as_str().expect("a token");
    let now = create(&first, "bb").await;
    first.ask("DELETE", &format!("{MAPS}/d")).await;
    let second = over(&store).await;
    for server in [&first, &second] {
        let rest = server.get(&format!("{MAPS}?limit=2&continue={token}")).await;
        assert_eq!(names(&rest), ["c", "d"]);
        assert_eq!(rest.json()["metadata"], json!({"resourceVersion": metadata["resourceVersion"]}));
    }
    store.compact(now).await.expect("compacts");
    let expired = second.get(&format!("{MAPS}?limit=2&continue={token}")).await;
    assert_eq!((expired.code.as_u16(), &expired.json()["reason"]), (410, &json!("Expired")));
    let json = expired.json();
    let inconsistent = json["metadata"]["continue"].as_str().expect("a token for the rest of the latest state");
    assert_eq!(names(&second.get(&format!("{MAPS}?limit=5&continue={inconsistent}")).await), ["bb", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_begins_with_what_is_there_unless_it_says_that_it_need_not() {
    let server = Server::start().await;
    create(&server, "a").await;
    let now = create(&server, "b").await;
    let there = ["ADDED a", "ADDED b"];
    assert_eq!(watched(&server, "timeoutSeconds=1").await, there);
    assert_eq!(watched(&server, "timeoutSeconds=1&resourceVersion=0").await, there);
    let streaming = "timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let end = format!("BOOKMARK {now} initial events end");
    let with_end = [there[0], there[1], &end];
    assert_eq!(watched(&server, &format!("{streaming}&allowWatchBookmarks=true")).await, with_end);
    assert_eq!(
        watched(&server, &format!("{streaming}&allowWatchBookmarks=true&resourceVersion={now}")).await,
        with_end
    );
    assert_eq!(watched(&server, streaming).await, there);
    let none = "timeoutSeconds=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    assert!(watched(&server, none).await.is_empty());
    assert!(watched(&server, &format!("{none}&resourceVersion=0")).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_long_list_is_streamed_as_a_whole() {
    let server = Server::start().await;
    let mut expected = Vec::new();
    for i in 0..200 {
        create(&server, &format!("m{i:03}")).await;
        expected.push(format!("ADDED m{i:03}"));
    }
    let odd = "timeoutSeconds=1&labelSelector=is+in+(m003,m150,m199)";
    assert_eq!(watched(&server, odd).await, [&*expected[3], &expected[150], &expected[199]]);
    assert_eq!(watched(&server, "timeoutSeconds=1").await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_idle_watch_tells_how_far_it_is_each_minute_and_before_its_end() {
    let server = Server::start().await;
    let mut now = create(&server, "a").await;
    for (seconds, count) in [(1, 0), (10, 1), (59, 1), (63, 2), (150, 3)] {
        let query = format!("timeoutSeconds={seconds}&resourceVersion={now}&allowWatchBookmarks=true");
        let began = tokio::time::Instant::now();
        let happens = async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            let secret = json!({"metadata": {"name": format!("s{seconds}")}});
            version(&server.post("/api/v1/namespaces/default/secrets", secret.to_string()).await.json())
        };
        let (told, later) = tokio::join!(watched(&server, &query), happens);
        now = later;
        assert_eq!(told, vec![format!("BOOKMARK {now}"); count], "in {seconds} s");
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
    let idle = format!("timeoutSeconds=150&resourceVersion={now}&allowWatchBookmarks=true");
    assert!(watched(&server, &idle).await.is_empty(), "there is nothing to tell");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_too_far_is_told_to_list_again() {
    let store = MemoryStore::default();
    let server = over(&store).await;
    let old = create(&server, "a").await;
    let request = format!("{MAPS}?watch=1&resourceVersion={old}");
    let request = http::Request::builder().uri(request).body(axum::body::Body::empty()).expect("a request");
    let router = ApiServer::builder(Arc::new(store.clone())).start().await.expect("a server").router();
    let watch = tower::ServiceExt::oneshot(router.clone(), request).await.expect("the router never fails");
    // More than a cache keeps, while nobody reads.
    let other = Server::over(router);
    for i in 0..9_000 {
        other
            .with_body(
                "PATCH",
                &format!("{MAPS}/a"),
                crate::harness::MERGE,
                json!({"data": {"i": i.to_string()}}).to_string(),
            )
            .await;
    }
    let read = http_body_util::BodyExt::collect(watch.into_body()).await.expect("a body").to_bytes();
    let error: Value = serde_json::from_slice(&read).expect("one event");
    assert_eq!(error["type"], "ERROR");
    let status = &error["object"];
    assert_eq!(
        (&status["kind"], &status["code"], &status["reason"]),
        (&json!("Status"), &json!(410), &json!("Expired"))
    );
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.starts_with(&format!("too old resource version: {old} (")), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_may_ask_for_more_time_than_there_is() {
    let server = Server::start().await;
    let now = create(&server, "a").await;
    let longest = format!("timeoutSeconds={}&resourceVersion={}", i64::MAX, now - 1);
    let watch = watched(&server, &longest);
    // It lasts a year, which is as good as for ever.
    let began = tokio::time::Instant::now();
    assert_eq!(watch.await, ["ADDED a"]);
    assert_eq!(began.elapsed().as_secs(), 365 * 24 * 3_600);
}
