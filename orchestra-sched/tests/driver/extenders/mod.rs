//! Extenders on loopback, asked over HTTP.

mod binding;
mod failures;
mod preemption;
mod server;
mod tls;

use std::{sync::Arc, time::Duration};

use kube::Client;
use orchestra_core::scheduler::{NodeInfo, PodInfo, Scheduler, Snapshot};
use orchestra_sched::{
    config::{Extender, ExtenderManagedResource, KubeSchedulerConfiguration, Registry},
    extender::HttpExtender,
    framework::Framework,
    queue::QueueDelays,
    testing::{node, pod},
};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::server::{Answer, Server};
use crate::{Running, api::Api, start_with};

/// The default profile with these extenders, which tries again soon.
fn start(api: &Api, extenders: impl IntoIterator<Item = Extender>) -> Running {
    let mut config = KubeSchedulerConfiguration::default();
    config.extenders.extend(extenders);
    config.validate().unwrap();
    let backoff = Duration::from_millis(20);
    let delays = QueueDelays { initial_backoff: backoff, max_backoff: backoff, ..QueueDelays::default() };
    start_with(api, |driver| driver.with_configuration(&config, &Registry::kubernetes()).unwrap().with_delays(delays))
}

fn filtering(server: &Server) -> Extender {
    Extender { filter_verb: "filter".to_owned(), node_cache_capable: true, ..server.config() }
}

fn prioritizing(server: &Server) -> Extender {
    Extender { prioritize_verb: "prioritize".to_owned(), node_cache_capable: true, ..server.config() }
}

/// The names of the nodes that a question is about, in order: where the scheduler begins differs.
fn names(question: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        question["NodeNames"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

fn two_nodes() -> Api {
    let api = Api::default();
    api.add_node("n1", "4");
    api.add_node("n2", "4");
    api
}

/// A cluster that needs no API server.
fn snapshot<const N: usize>(names: [&str; N]) -> Snapshot {
    names.into_iter().map(|name| node(name).cpu(4).info()).collect()
}

#[tokio::test]
async fn a_filter_leaves_nodes_out() {
    let server =
        Server::start(|_, _| Answer::Json(json!({ "NodeNames": ["n2"], "FailedNodes": { "n1": "no" } }))).await;
    let api = two_nodes();
    let running = start(&api, [filtering(&server)]);
    for name in ["a", "b", "c"] {
        api.add_pod(name, "1", json!({}));
    }
    api.until("bound", |state| state.bindings.len() == 3).await;
    assert!(api.change(|state| state.bindings.iter().all(|binding| binding.ends_with(" n2"))));
    let asked = server.asked("filter");
    assert_eq!((names(&asked[0]), &asked[0]["Nodes"]), (vec!["n1", "n2"], &Value::Null));
    assert_eq!(asked[0]["Pod"]["metadata"]["name"], "a");
    running.stop().await;
}

#[tokio::test]
async fn one_that_does_not_know_the_nodes_is_told_all_of_them() {
    let server = Server::start(|_, question| {
        let items = question["Nodes"]["items"].as_array().unwrap().iter();
        let items: Vec<&Value> = items.filter(|node| node["metadata"]["name"] == "n2").collect();
        Answer::Json(json!({ "nodes": { "items": items } }))
    })
    .await;
    let api = two_nodes();
    let running = start(&api, [Extender { node_cache_capable: false, ..filtering(&server) }]);
    api.add_pod("web", "1", json!({}));
    api.until("bound", |state| state.bindings == ["web n2"]).await;
    let asked = &server.asked("filter")[0];
    assert_eq!(asked["NodeNames"], Value::Null);
    assert_eq!(asked["Nodes"]["items"][1]["status"]["allocatable"]["cpu"], "4");
    running.stop().await;
}

#[tokio::test]
async fn what_is_rejected_everywhere_is_told_and_tried_again_whatever_happens() {
    let server = Server::start(|_, question| {
        let all = names(question);
        // It takes the node that comes later.
        let left: Vec<_> = all.iter().filter(|name| **name == "n4").collect();
        Answer::Json(json!({ "NodeNames": left, "FailedNodes": { "n1": "no licence", "n2": "no licence" },
            "FailedAndUnresolvableNodes": { "n2": "wrong rack" } }))
    })
    .await;
    let api = two_nodes();
    api.add_node("n3", "4");
    api.add_node("tiny", "500m");
    let running = start(&api, [filtering(&server)]);
    api.add_pod("web", "1", json!({}));
    let words = "0/4 nodes are available: 1 Insufficient cpu, 1 no licence, 1 node(s) were left out by an extender, \
                 1 wrong rack. no new claims to deallocate, preemption: 0/4 nodes are available: \
                 1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling.";
    api.until("told", |state| state.condition("web").is_some()).await;
    let condition = api.change(|state| state.condition("web").map(|(r, m)| (r.to_owned(), m.to_owned())));
    assert_eq!(condition.unwrap(), ("Unschedulable".to_owned(), words.to_owned()));
    assert_eq!(server.asked("filter").len(), 1, "nothing happened since");
    // A node that would not help any plugin.
    api.put(
        "nodes",
        json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n3", "uid": "n3",
        "annotations": { "a": "b" } }, "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } } }),
    );
    api.until("tried again", |_| server.asked("filter").len() > 1).await;
    api.add_node("n4", "4");
    api.until("bound", |state| state.bindings == ["web n4"]).await;
    running.stop().await;
}

#[tokio::test]
async fn filters_are_asked_about_what_the_ones_before_left_and_those_that_may_be_ignored_last() {
    let all_but_the_first = |_: &str, question: &Value| Answer::Json(json!({ "NodeNames": names(question)[1..] }));
    let (first, second) = (Server::start(all_but_the_first).await, Server::start(all_but_the_first).await);
    let api = two_nodes();
    api.add_node("n3", "4");
    let may_fail = Extender { ignorable: true, ..filtering(&first) };
    let running = start(&api, [may_fail, filtering(&second)]);
    api.add_pod("web", "1", json!({}));
    api.until("bound", |state| state.bindings == ["web n3"]).await;
    assert_eq!(names(&second.asked("filter")[0]), ["n1", "n2", "n3"]);
    assert_eq!(names(&first.asked("filter")[0]), ["n2", "n3"]);
    running.stop().await;
}

#[tokio::test]
async fn nobody_is_asked_about_no_nodes() {
    let server = Server::start(|_, _| Answer::Json(json!({}))).await;
    let api = two_nodes();
    let running = start(&api, [filtering(&server)]);
    api.add_pod("large", "8", json!({}));
    api.until("told", |state| state.condition("large").is_some()).await;
    assert!(server.asked("filter").is_empty());
    running.stop().await;
}

#[tokio::test]
async fn it_is_asked_about_pods_that_ask_for_what_it_manages() {
    let server = Server::start(|_, _| Answer::Json(json!({ "NodeNames": ["n2"] }))).await;
    let managed = ExtenderManagedResource { name: "example.com/x".to_owned(), ignored_by_scheduler: true };
    let api = two_nodes();
    let running = start(&api, [Extender { managed_resources: vec![managed], ..filtering(&server) }]);
    let with = |kind: &str, list: &str| json!({ "containers": [{ "name": "c" }], kind: [{ "name": "x", "resources": { list: { "example.com/x": "1" } } }] });
    api.add_pod("requests", "0", with("containers", "requests"));
    api.add_pod("limits", "0", with("initContainers", "limits"));
    api.until("no node has it, and the scheduler does not look", |state| state.bindings.len() == 2).await;
    assert_eq!(server.asked("filter").len(), 2);
    api.add_pod("plain", "1", json!({}));
    api.until("bound", |state| state.bindings.len() == 3).await;
    assert_eq!(server.asked("filter").len(), 2);
    running.stop().await;
}

/// Where the scheduler puts a pod with these extenders, and the node's score.
async fn decided<const N: usize>(nodes: [&str; N], extenders: Vec<Extender>) -> (String, i64) {
    let mut builder = Framework::builder().plugin(orchestra_sched::plugins::NodeName);
    for extender in extenders {
        builder = builder.extender(HttpExtender::new(extender).unwrap());
    }
    let (framework, snapshot): (_, Snapshot) = (builder.build(), snapshot(nodes));
    let placement = framework.decide(&pod("p").info(), &snapshot, 7).outcome().await.unwrap();
    (placement.node.to_string(), placement.score)
}

fn scores(scores: Value) -> impl Fn(&str, &Value) -> Answer {
    move |_, _| Answer::Json(scores.clone())
}

#[tokio::test]
async fn priorities_count_ten_times_their_weight() {
    let server = Server::start(scores(json!([{ "Host": "n2", "Score": 7 }, { "host": "n3", "score": 6 }]))).await;
    let weighted = Extender { weight: 3, ..prioritizing(&server) };
    assert_eq!(decided(["n1", "n2", "n3"], vec![weighted.clone()]).await, ("n2".to_owned(), 210));
    let other = Server::start(scores(json!([{ "Host": "n3", "Score": 10 }]))).await;
    assert_eq!(decided(["n1", "n2", "n3"], vec![weighted, prioritizing(&other)]).await, ("n3".to_owned(), 280));
    assert_eq!(names(&other.asked("prioritize")[0]), ["n1", "n2", "n3"]);
}

#[tokio::test]
async fn priorities_are_added_to_the_plugins_scores() {
    let server = Server::start(scores(json!([{ "Host": "empty", "Score": 0 }, { "Host": "full", "Score": 10 }]))).await;
    let nodes = || -> Snapshot {
        let mut full: NodeInfo = node("full").cpu(4).info();
        full.add_pod(Arc::new(pod("old").cpu(2).on("full").info()));
        Snapshot::from_iter([full, node("empty").cpu(4).info()])
    };
    let (plain, pod): (_, PodInfo) = (Framework::kubernetes(), pod("p").cpu(1).info());
    assert_eq!(&*plain.schedule(&pod, &nodes(), 0).unwrap().node, "empty");
    let builder = Framework::builder().default_plugins();
    let extended = builder.extender(HttpExtender::new(prioritizing(&server)).unwrap()).build();
    assert_eq!(&*extended.decide(&pod, &nodes(), 0).outcome().await.unwrap().node, "full");
    // Nobody is asked where nothing may be.
    assert_eq!(&*extended.schedule(&pod, &nodes(), 0).unwrap().node, "empty");
    assert_eq!(server.asked("prioritize").len(), 1);
}

#[tokio::test]
async fn scores_of_any_size_and_of_unknown_nodes_do_no_harm() {
    let huge = json!([{ "Host": "n2", "Score": i64::MAX }, { "Host": "n2", "Score": i64::MAX }, { "Host": "elsewhere", "Score": 9 },
        { "Host": "n1", "Score": i64::MIN }]);
    let server = Server::start(scores(huge)).await;
    assert_eq!(decided(["n1", "n2"], vec![prioritizing(&server)]).await, ("n2".to_owned(), i64::MAX));
}

#[tokio::test]
async fn one_node_needs_no_priorities() {
    let server = Server::start(scores(json!([]))).await;
    assert_eq!(decided(["n1"], vec![prioritizing(&server)]).await.0, "n1");
    assert!(server.asked("prioritize").is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_extender_is_given_five_seconds_unless_its_configuration_says() {
    let never = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
    });
    for (configured, expected) in [(Duration::ZERO, 5), (Duration::from_secs(30), 30)] {
        let config = Extender {
            url_prefix: "http://extender".to_owned(),
            filter_verb: "filter".to_owned(),
            http_timeout: configured,
            ..Extender::default()
        };
        let extender = HttpExtender::over(Client::new(never, ""), config);
        let framework = Framework::builder().default_plugins().extender(extender).build();
        let (nodes, pod, began) = (snapshot(["n1"]), pod("p").info(), Instant::now());
        let error = framework.decide(&pod, &nodes, 0).outcome().await.unwrap_err();
        let words = "Post \"http://extender/filter\": context deadline exceeded \
                     (Client.Timeout exceeded while awaiting headers)";
        assert_eq!((error.to_string().as_str(), began.elapsed().as_secs()), (words, expected));
    }
}

#[tokio::test]
async fn an_explanation_says_who_was_not_asked() {
    let server = Server::start(|_, _| Answer::Code(500)).await;
    let extender = HttpExtender::new(filtering(&server)).unwrap();
    let framework = Framework::builder().default_plugins().extender(extender).build();
    let explanation = framework.explain(&pod("p").info(), &snapshot(["n1"]));
    assert_eq!(explanation.not_asked, [server.url()]);
    assert!(explanation.to_string().ends_with(&format!("\nnot asked: extenders {}\n", server.url())));
    assert!(server.asked("filter").is_empty());
}
