//! Extenders that bind.

use orchestra_sched::config::{Extender, ExtenderManagedResource};
use serde_json::{Value, json};

use super::{Answer, Server, start};
use crate::api::{Api, Fault};

fn binding(server: &Server) -> Extender {
    Extender { bind_verb: "bind".to_owned(), ..server.config() }
}

/// Sets the node of the pod that the question is about, as the API server would for an extender.
fn bind(api: &Api, question: &Value) {
    let (name, node) = (question["PodName"].as_str().unwrap(), question["Node"].clone());
    api.edit_pod(name, |pod| pod["spec"]["nodeName"] = node);
}

fn cluster() -> Api {
    let api = Api::default();
    api.add_node("n1", "4");
    api
}

#[tokio::test]
async fn an_extender_binds_in_the_place_of_the_plugins() {
    let api = cluster();
    let server = Server::start({
        let api = api.clone();
        move |_, question| {
            bind(&api, question);
            Answer::Json(json!({ "Error": "" }))
        }
    })
    .await;
    let running = start(&api, [binding(&server)]);
    api.add_pod("web", "1", json!({}));
    let told = "Scheduled web: Successfully assigned default/web to n1";
    api.until("told", |state| state.events == [told]).await;
    let asked = json!({ "PodName": "web", "PodNamespace": "default", "PodUID": "web", "Node": "n1" });
    assert_eq!(server.asked("bind"), [asked]);
    assert!(api.change(|state| state.bindings.is_empty()), "nobody else did");
    running.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_bound_counts_as_bound_whatever_the_extender_answers() {
    let api = cluster();
    let server = Server::start({
        let api = api.clone();
        move |_, question| {
            bind(&api, question);
            Answer::Code(500)
        }
    })
    .await;
    let running = start(&api, [binding(&server)]);
    api.change(|state| state.failing_reads = 2);
    api.add_pod("web", "1", json!({}));
    api.until("told", |state| state.events == ["Scheduled web: Successfully assigned default/web to n1"]).await;
    running.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_not_bound_is_tried_again_whatever_the_extender_answers() {
    for (wrong, words) in [
        (Answer::Json(json!({})), "says that the pod is bound to node \"n1\", but it is not"),
        (Answer::Json(json!({ "Error": "no" })), "no"),
        (Answer::Close, "bind\": "),
        (Answer::Text("?"), "to bind cannot be read: "),
    ] {
        let api = cluster();
        let server = Server::start({
            let api = api.clone();
            move |_, question| {
                bind(&api, question);
                Answer::Json(json!({}))
            }
        })
        .await;
        server.first([wrong]);
        let running = start(&api, [binding(&server)]);
        api.add_pod("web", "1", json!({}));
        api.until("bound", |state| state.node_of("web") == Some("n1")).await;
        let failed = |event: &String| event.starts_with("FailedScheduling web: ") && event.contains(words);
        api.until(words, |state| state.events.iter().any(failed)).await;
        assert_eq!(server.asked("bind").len(), 2);
        running.stop().await;
    }
}

#[tokio::test]
async fn the_plugins_bind_what_an_extender_that_may_be_ignored_does_not() {
    let api = cluster();
    let server = Server::start(|_, _| Answer::Code(500)).await;
    let running = start(&api, [Extender { ignorable: true, ..binding(&server) }]);
    api.add_pod("web", "1", json!({}));
    api.until("bound", |state| state.bindings == ["web n1"]).await;
    assert_eq!(server.asked("bind").len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn an_extender_binds_only_pods_that_it_is_interested_in() {
    let api = cluster();
    let server = Server::start(|_, _| Answer::Code(500)).await;
    let managed = ExtenderManagedResource { name: "example.com/x".to_owned(), ignored_by_scheduler: false };
    let running = start(&api, [Extender { managed_resources: vec![managed], ..binding(&server) }]);
    api.change(|state| state.faults.push_back(Fault::AnswerLost));
    api.add_pod("web", "1", json!({}));
    api.until("bound", |state| state.bindings == ["web n1"]).await;
    assert!(server.asked("bind").is_empty());
    running.stop().await;
}
