//! What extenders do wrong, and that no pod is lost by it.

use std::time::Duration;

use orchestra_sched::config::Extender;
use serde_json::json;
use tokio::net::TcpListener;

use super::{Answer, Server, decided, filtering, prioritizing, start, two_nodes};

/// All that may be wrong with an answer to filter, and how the error begins; `{url}` stands for the extender's.
fn wrong_answers() -> Vec<(Answer, &'static str)> {
    vec![
        (Answer::Hang, "Post \"{url}/filter\": context deadline exceeded (Client.Timeout exceeded"),
        (Answer::Close, "Post \"{url}/filter\": "),
        (Answer::Code(500), "failed filter with extender at URL {url}/filter, code 500"),
        (Answer::Code(204), "failed filter with extender at URL {url}/filter, code 204"),
        (Answer::Text(""), "the answer of extender \"{url}\" to filter cannot be read: EOF"),
        (Answer::Text("no JSON"), "the answer of extender \"{url}\" to filter cannot be read: "),
        (Answer::Json(json!({ "NodeNames": 7 })), "the answer of extender \"{url}\" to filter cannot be read: "),
        (
            Answer::Json(json!({ "NodeNames": ["n1", "n7"] })),
            "extender \"{url}\" claims a filtered node \"n7\" which is not found in the input node list",
        ),
        (Answer::Endless, "Post \"{url}/filter\": "),
        (Answer::Json(json!({ "Error": "out of order" })), "out of order"),
    ]
}

/// Impatient, so that one that hangs does not take long.
fn impatient(extender: Extender) -> Extender {
    Extender { http_timeout: Duration::from_secs(1), ..extender }
}

#[tokio::test]
async fn an_attempt_fails_with_its_extender_and_is_repeated() {
    for (wrong, words) in wrong_answers() {
        let server = Server::start(|_, _| Answer::Json(json!({ "NodeNames": ["n2"] }))).await;
        server.first([wrong.clone(), wrong.clone()]);
        let api = two_nodes();
        let running = start(&api, [impatient(filtering(&server))]);
        api.add_pod("web", "1", json!({}));
        api.until("bound at last", |state| state.bindings == ["web n2"]).await;
        assert_eq!(server.asked("filter").len(), 3, "{wrong:?}");
        let told = format!("FailedScheduling web: {}", words.replace("{url}", server.url()));
        api.until(&told, |state| state.events.iter().any(|event| event.starts_with(&told))).await;
        let condition = api.change(|state| state.condition("web").map(|(reason, _)| reason.to_owned()));
        assert_eq!(condition.as_deref(), Some("SchedulerError"), "{wrong:?}");
        running.stop().await;
    }
}

#[tokio::test]
async fn one_that_may_be_ignored_is() {
    for (wrong, _) in wrong_answers() {
        let server = Server::start(move |_, _| wrong.clone()).await;
        let api = two_nodes();
        let running = start(&api, [Extender { ignorable: true, ..impatient(filtering(&server)) }]);
        api.add_pod("web", "1", json!({}));
        api.until("bound", |state| state.bindings.len() == 1).await;
        assert_eq!(server.asked("filter").len(), 1);
        assert!(api.change(|state| state.condition("web").is_none()));
        running.stop().await;
    }
}

#[tokio::test]
async fn one_that_is_not_there_fails_the_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url_prefix = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let extender = Extender { url_prefix: url_prefix.clone(), filter_verb: "filter".to_owned(), ..Extender::default() };
    let api = two_nodes();
    let running = start(&api, [extender]);
    api.add_pod("web", "1", json!({}));
    let told = format!("Post \"{url_prefix}filter\": ");
    let refused = |message: &str| message.starts_with(&told) && message.contains("refused");
    api.until("told", |state| state.condition("web").is_some_and(|(_, message)| refused(message))).await;
    running.stop().await;
}

#[tokio::test]
async fn priorities_that_fail_do_not_count() {
    for wrong in [
        Answer::Hang,
        Answer::Close,
        Answer::Code(500),
        Answer::Text("["),
        Answer::Endless,
        Answer::Json(json!({ "Host": "n1" })),
        Answer::Json(json!([{ "Host": "n1", "Score": 1.5 }])),
    ] {
        let failing = Server::start(move |_, _| wrong.clone()).await;
        let good = Server::start(|_, _| Answer::Json(json!([{ "Host": "n2", "Score": 1 }]))).await;
        let extenders = vec![impatient(prioritizing(&failing)), prioritizing(&good)];
        assert_eq!(decided(["n1", "n2"], extenders).await, ("n2".to_owned(), 10));
    }
}

#[tokio::test]
async fn a_pod_that_is_deleted_while_an_extender_thinks_is_forgotten() {
    let server = Server::start(|_, _| Answer::Json(json!({ "NodeNames": ["n1"] }))).await;
    server.first([Answer::Hang]);
    let api = two_nodes();
    let running = start(&api, [impatient(filtering(&server))]);
    api.add_pod("gone", "1", json!({}));
    while server.asked("filter").is_empty() {
        tokio::task::yield_now().await;
    }
    api.delete_pod("gone");
    api.add_pod("next", "1", json!({}));
    api.until("the next one is bound", |state| state.bindings == ["next n1"]).await;
    running.stop().await;
}
