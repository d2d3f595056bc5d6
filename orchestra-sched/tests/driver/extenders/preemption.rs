//! Extenders that have a say in who goes.

use std::sync::Arc;

use orchestra_core::scheduler::{Diagnosis, NodeInfo, Nomination, PodInfo, ScheduleError, Scheduler, Snapshot};
use orchestra_sched::{
    config::Extender,
    extender::HttpExtender,
    framework::Framework,
    testing::{node, pod},
};
use serde_json::{Value, json};

use super::{Answer, Server, start, two_nodes};

fn preempting(server: &Server) -> Extender {
    Extender { preempt_verb: "preempt".to_owned(), node_cache_capable: true, ..server.config() }
}

/// Three full nodes: pod `1` (the least important) is on `n1`, `2` on `n2`, `3` and the important `boss` on `n3`.
fn full() -> Snapshot {
    let on = |name: &str, priority: i32, node: &str| -> Arc<PodInfo> {
        Arc::new(pod(name).cpu(2).priority(priority).on(node).info())
    };
    let mut nodes: Vec<NodeInfo> = ["n1", "n2", "n3"].map(|name| node(name).cpu(4).info()).into();
    for (node, (name, priority)) in nodes.iter_mut().zip([("1", 1), ("2", 2), ("3", 3)]) {
        let host = node.name().to_string();
        node.add_pod(on(name, priority, &host));
        node.add_pod(on(&format!("boss-{name}"), 1000, &host));
    }
    Snapshot::from_iter(nodes)
}

fn uid(name: &str) -> String {
    let nodes = full();
    let pods = nodes.iter().flat_map(|node| node.pods().to_vec()).find(|pod| pod.key().name() == name);
    pods.unwrap().pod().metadata.uid.clone().unwrap()
}

/// Who goes from where for a pod that fits nowhere, or why nobody does.
async fn preempted(extenders: Vec<Extender>) -> Result<(String, Vec<String>), Diagnosis> {
    let mut builder = Framework::builder().default_plugins();
    for extender in extenders {
        builder = builder.extender(HttpExtender::new(extender).unwrap());
    }
    let (framework, nodes, pod) = (builder.build(), full(), pod("p").cpu(2).priority(100).info());
    let error = framework.decide(&pod, &nodes, 0).outcome().await.unwrap_err();
    let ScheduleError::Unschedulable(diagnosis) = error else { panic!("{error}") };
    match diagnosis.nomination() {
        Nomination::For { node, victims } => {
            Ok((node.to_string(), victims.iter().map(|victim| victim.key().name().to_owned()).collect()))
        }
        _ => Err(*diagnosis),
    }
}

fn leaving(nodes: Value) -> impl Fn(&str, &Value) -> Answer {
    move |_, _| Answer::Json(json!({ "NodeNameToMetaVictims": nodes }))
}

fn victims<const N: usize>(names: [&str; N]) -> Value {
    let pods: Vec<_> = names.iter().map(|name| json!({ "UID": uid(name) })).collect();
    json!({ "Pods": pods, "NumPDBViolations": 0 })
}

#[tokio::test]
async fn an_extender_says_which_candidates_are_left() {
    let alone = preempted(Vec::new()).await.unwrap();
    assert_eq!(alone, ("n1".to_owned(), vec!["1".to_owned()]));
    let server = Server::start(leaving(json!({ "n3": victims(["3"]), "n2": victims(["2"]) }))).await;
    assert_eq!(preempted(vec![preempting(&server)]).await.unwrap(), ("n2".to_owned(), vec!["2".to_owned()]));
    let asked = &server.asked("preempt")[0];
    assert_eq!((&asked["NodeNameToMetaVictims"]["n1"], &asked["NodeNameToVictims"]), (&victims(["1"]), &Value::Null));
}

#[tokio::test]
async fn the_victim_that_an_extender_leaves_goes_and_its_place_is_taken() {
    let server = Server::start(leaving(json!({ "n2": { "Pods": [{ "UID": "low-n2" }] } }))).await;
    let api = two_nodes();
    for node in ["n1", "n2"] {
        api.add_pod(&format!("low-{node}"), "4", json!({ "priority": 1, "nodeName": node }));
    }
    let running = start(&api, [preempting(&server)]);
    api.add_pod("high", "1", json!({ "priority": 9 }));
    api.until("bound", |state| state.bindings == ["high n2"]).await;
    let asked = &server.asked("preempt")[0]["NodeNameToMetaVictims"];
    assert_eq!((&asked["n1"]["Pods"][0]["UID"], &asked["n2"]["Pods"][0]["UID"]), (&json!("low-n1"), &json!("low-n2")));
    let preempted = |of: &str| format!("Preempted low-{of}: Preempted by pod high on node {of}");
    let events = api.change(|state| state.events.clone());
    assert!(events.contains(&preempted("n2")) && !events.contains(&preempted("n1")), "{events:#?}");
    assert!(api.change(|state| state.pod("low-n1").is_some() && state.pod("low-n2").is_none()));
    running.stop().await;
}

#[tokio::test]
async fn nobody_goes_if_an_extender_leaves_no_victims() {
    let server = Server::start(leaving(json!({}))).await;
    let api = two_nodes();
    for node in ["n1", "n2"] {
        api.add_pod(&format!("low-{node}"), "4", json!({ "priority": 1, "nodeName": node }));
    }
    let running = start(&api, [preempting(&server)]);
    api.add_pod("high", "1", json!({ "priority": 9 }));
    let words = "preemption: no candidate node for preemption";
    api.until("it is told", |state| state.condition("high").is_some_and(|(_, why)| why.ends_with(words))).await;
    assert!(api.change(|state| state.pod("low-n1").is_some() && state.pod("low-n2").is_some()));
    api.delete_pod("low-n1");
    api.until("bound", |state| state.bindings == ["high n1"]).await;
    running.stop().await;
}

#[tokio::test]
async fn one_that_does_not_know_the_pods_is_told_all_of_them() {
    let server = Server::start(leaving(json!({ "n3": victims(["3"]) }))).await;
    let extender = Extender { node_cache_capable: false, ..preempting(&server) };
    assert_eq!(preempted(vec![extender]).await.unwrap().0, "n3");
    let asked = &server.asked("preempt")[0];
    assert_eq!(asked["NodeNameToVictims"]["n2"]["Pods"][0]["metadata"]["name"], "2");
    assert_eq!(asked["NodeNameToMetaVictims"], Value::Null);
}

#[tokio::test]
async fn the_next_one_is_asked_about_what_is_left_and_nobody_about_nothing() {
    let first = Server::start(leaving(json!({ "n2": victims(["2"]) }))).await;
    let second = Server::start(leaving(json!({}))).await;
    let third = Server::start(leaving(json!({ "n1": victims(["1"]) }))).await;
    let extenders = vec![preempting(&first), preempting(&second), preempting(&third)];
    let why = preempted(extenders).await.unwrap_err();
    assert!(why.to_string().ends_with("preemption: no candidate node for preemption"), "{why}");
    assert_eq!(*why.nomination(), Nomination::Kept);
    let asked = &second.asked("preempt")[0]["NodeNameToMetaVictims"];
    assert_eq!(asked.as_object().unwrap().keys().collect::<Vec<_>>(), ["n2"]);
    assert!(third.asked("preempt").is_empty());
}

#[tokio::test]
async fn nonsense_takes_nobody_away() {
    for (answer, words) in [
        (
            json!({ "n7": victims(["1"]) }),
            "claims to preempt pods on node \"n7\" which is not found in the input node list",
        ),
        (json!({ "n1": victims(["2"]) }), "on node: n1, but the pod is not found on that node"),
        (json!({ "n1": victims(["boss-1"]) }), "on node: n1, but the pod's priority is no lower"),
        (json!({ "n1": { "Pods": [] } }), "expected at least one victim pod on node \"n1\""),
        (json!({ "n1": null }), "expected at least one victim pod on node \"n1\""),
        (json!(7), "to preempt cannot be read: "),
    ] {
        let server = Server::start(leaving(answer.clone())).await;
        let why = preempted(vec![preempting(&server)]).await.unwrap_err();
        assert!(why.to_string().contains("preemption: ") && why.to_string().contains(words), "{answer}: {why}");
        assert_eq!(*why.nomination(), Nomination::Kept, "the pod is as it was");
        let ignored = preempted(vec![Extender { ignorable: true, ..preempting(&server) }]).await;
        let expected = if words.starts_with("expected") { None } else { Some("n1".to_owned()) };
        assert_eq!(ignored.ok().map(|(node, _)| node), expected, "{answer}");
    }
}

#[tokio::test]
async fn one_that_fails_ends_the_preemption_unless_it_may_be_ignored() {
    let server = Server::start(|_, _| Answer::Code(503)).await;
    let why = preempted(vec![preempting(&server)]).await.unwrap_err();
    let words = format!("preemption: failed preempt with extender at URL {}/preempt, code 503", server.url());
    assert!(why.to_string().ends_with(&words), "{why}");
    let ignored = preempted(vec![Extender { ignorable: true, ..preempting(&server) }]).await;
    assert_eq!(ignored.unwrap().0, "n1");
}

#[tokio::test]
async fn other_victims_may_be_named_and_the_least_that_goes_is_taken() {
    // Of n1 its important pod goes, too: so says an extender that knows of something that the two share.
    let server = Server::start(leaving(json!({ "n1": { "Pods": [{ "uid": uid("1") }], "NumPDBViolations": 1 },
        "n3": victims(["3"]) })))
    .await;
    assert_eq!(preempted(vec![preempting(&server)]).await.unwrap().0, "n3", "no budget is violated there");
}
