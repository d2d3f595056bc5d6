use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use orchestra_core::{
    informer::Change,
    scheduler::{ClusterEvent, NodeInfo, PodInfo, Snapshot},
};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{super::testing, *};

const NO_AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const FORBIDDEN: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// A node in a zone.
fn node(name: &str, zone: &str) -> NodeInfo {
    let labels = json!({ "zone": zone, "kubernetes.io/hostname": name });
    testing::node(json!({ "metadata": { "name": name, "labels": labels } }))
}

/// The same, with these pods.
fn holding(name: &str, zone: &str, pods: &[PodInfo]) -> NodeInfo {
    let mut node = node(name, zone);
    pods.iter().for_each(|pod| node.add_pod(Arc::new(pod.clone())));
    node
}

fn pod_in(namespace: &str, app: &str, affinity: Value) -> PodInfo {
    let pod = json!({
        "metadata": { "name": app, "namespace": namespace, "labels": { "app": app } },
        "spec": { "containers": [{ "name": "c" }], "affinity": affinity },
    });
    serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap().into()
}

fn pod(app: &str, affinity: Value) -> PodInfo {
    pod_in("default", app, affinity)
}

fn plain(app: &str) -> PodInfo {
    pod(app, Value::Null)
}

/// A term that means the pods of `app`.
fn term(app: &str, key: &str) -> Value {
    json!({ "topologyKey": key, "labelSelector": { "matchLabels": { "app": app } } })
}

fn with(mut term: Value, more: Value) -> Value {
    testing::merge(&mut term, more);
    term
}

fn near(terms: &[Value]) -> Value {
    json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } })
}

fn far(terms: &[Value]) -> Value {
    json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": terms } })
}

fn weighted(terms: &[(i32, Value)]) -> Value {
    let terms = terms.iter().map(|(weight, term)| json!({ "weight": weight, "podAffinityTerm": term }));
    json!({ "preferredDuringSchedulingIgnoredDuringExecution": terms.collect::<Vec<_>>() })
}

fn prefers_near(terms: &[(i32, Value)]) -> Value {
    json!({ "podAffinity": weighted(terms) })
}

fn prefers_far(terms: &[(i32, Value)]) -> Value {
    json!({ "podAntiAffinity": weighted(terms) })
}

/// Why each node is left out, and whether fewer pods could help, by plugin as it is.
fn verdicts_of(plugin: &InterPodAffinity, pod: &PodInfo, snapshot: &Snapshot) -> Vec<Option<(String, bool)>> {
    let mut state = CycleState::default();
    match plugin.pre_filter(&mut state, pod, snapshot) {
        PreFilterOutcome::Skip => return vec![None; snapshot.len()],
        PreFilterOutcome::Continue => {}
        other => panic!("{other:?}"),
    }
    let verdict = |node: &Arc<NodeInfo>| {
        plugin.filter(&state, pod, node).err().map(|r| (r.reasons().join(", "), r.is_resolvable()))
    };
    snapshot.iter().map(verdict).collect()
}

fn reasons(pod: &PodInfo, nodes: &[NodeInfo]) -> Vec<Option<String>> {
    let snapshot = Snapshot::from_iter(nodes.iter().cloned());
    let verdicts = verdicts_of(&InterPodAffinity::default(), pod, &snapshot).into_iter();
    verdicts.map(|verdict| verdict.map(|(reason, _)| reason)).collect()
}

fn takes(pod: &PodInfo, nodes: &[NodeInfo]) -> Vec<bool> {
    reasons(pod, nodes).iter().map(Option::is_none).collect()
}

fn scores_of(plugin: &InterPodAffinity, pod: &PodInfo, nodes: &[NodeInfo]) -> Option<Vec<i64>> {
    testing::scores(plugin, pod, &nodes.iter().collect::<Vec<_>>())
}

fn scores(pod: &PodInfo, nodes: &[NodeInfo]) -> Option<Vec<i64>> {
    scores_of(&InterPodAffinity::default(), pod, nodes)
}

#[test]
fn a_pod_without_terms_goes_anywhere() {
    let nodes = [holding("n1", "a", &[plain("web")]), node("n2", "b")];
    assert_eq!(takes(&plain("web"), &nodes), [true, true]);
    assert_eq!(scores(&plain("web"), &nodes), None);
}

#[test]
fn required_affinity_holds_wherever_the_keys_value_is_that_of_a_node_with_such_a_pod() {
    let nodes = [holding("n1", "a", &[plain("db")]), node("n2", "a"), node("n3", "b")];
    assert_eq!(takes(&pod("web", near(&[term("db", "zone")])), &nodes), [true, true, false]);
    assert_eq!(takes(&pod("web", near(&[term("db", "kubernetes.io/hostname")])), &nodes), [true, false, false]);
    assert_eq!(takes(&pod("web", near(&[term("cache", "zone")])), &nodes), [false; 3]);
    let snapshot = Snapshot::from_iter(nodes);
    let verdicts = verdicts_of(&InterPodAffinity::default(), &pod("web", near(&[term("db", "zone")])), &snapshot);
    assert_eq!(verdicts[2], Some((NO_AFFINITY.to_owned(), false)), "fewer pods would not help");
}

#[test]
fn all_terms_of_required_affinity_have_to_mean_the_same_pod() {
    let both = || {
        near(&[
            term("db", "zone"),
            with(term("db", "zone"), json!({ "labelSelector": { "matchLabels": { "tier": "a" } } })),
        ])
    };
    let tiered = |app: &str, tier: &str| {
        let mut pod = (**plain(app).pod()).clone();
        pod.metadata.labels.as_mut().unwrap().insert("tier".to_owned(), tier.to_owned());
        PodInfo::from(pod)
    };
    let apart = [holding("n1", "a", &[tiered("db", "b"), tiered("cache", "a")])];
    assert_eq!(takes(&pod("web", both()), &apart), [false]);
    assert_eq!(takes(&pod("web", both()), &[holding("n1", "a", &[tiered("db", "a")])]), [true]);
}

#[test]
fn each_term_of_required_affinity_is_judged_by_its_own_key() {
    let wish = || near(&[term("db", "zone"), term("db", "kubernetes.io/hostname")]);
    let nodes = [holding("n1", "a", &[plain("db")]), node("n2", "a")];
    assert_eq!(takes(&pod("web", wish()), &nodes), [true, false]);
}

#[test]
fn a_node_without_the_key_is_near_nothing() {
    let bare = |pods: &[PodInfo]| {
        let mut node = testing::node(json!({ "metadata": { "name": "n0" } }));
        pods.iter().for_each(|pod| node.add_pod(Arc::new(pod.clone())));
        node
    };
    let db = || near(&[term("db", "zone")]);
    assert_eq!(takes(&pod("web", db()), &[bare(&[plain("db")]), holding("n1", "a", &[plain("db")])]), [false, true]);
    assert_eq!(takes(&pod("db", db()), &[bare(&[])]), [false], "not even the first of a group goes there");
    assert_eq!(takes(&pod("web", far(&[term("db", "zone")])), &[bare(&[plain("db")])]), [true]);
    let repelling = pod("db", far(&[term("web", "zone")]));
    assert_eq!(takes(&plain("web"), &[bare(&[repelling])]), [true]);
}

#[test]
fn the_first_of_a_group_that_wants_to_be_together_goes_anywhere() {
    let wish = || near(&[term("web", "zone")]);
    assert_eq!(takes(&pod("web", wish()), &[node("n1", "a"), node("n2", "b")]), [true, true]);
    assert_eq!(takes(&pod("web", wish()), &[holding("n1", "a", &[plain("web")]), node("n2", "b")]), [true, false]);
    assert_eq!(takes(&pod("api", wish()), &[node("n1", "a")]), [false], "it is not one of them");
    let elsewhere = with(term("web", "zone"), json!({ "namespaces": ["other"] }));
    assert_eq!(takes(&pod("web", near(&[elsewhere])), &[node("n1", "a")]), [false], "nor is one of another namespace");
    // A pod where no node has the key is as good as none.
    let mut bare = testing::node(json!({ "metadata": { "name": "n0" } }));
    bare.add_pod(Arc::new(plain("web")));
    assert_eq!(takes(&pod("web", wish()), &[bare, node("n1", "a")]), [false, true]);
}

#[test]
fn the_first_of_a_group_is_one_of_it_by_every_term() {
    let wish = || near(&[term("web", "zone"), term("db", "zone")]);
    assert_eq!(takes(&pod("web", wish()), &[node("n1", "a")]), [false]);
}

#[test]
fn required_anti_affinity_keeps_a_pod_off_where_the_keys_value_is_that_of_a_node_with_such_a_pod() {
    let nodes = [holding("n1", "a", &[plain("web")]), node("n2", "a"), node("n3", "b")];
    assert_eq!(takes(&pod("web", far(&[term("web", "zone")])), &nodes), [false, false, true]);
    assert_eq!(takes(&pod("web", far(&[term("web", "kubernetes.io/hostname")])), &nodes), [false, true, true]);
    assert_eq!(takes(&pod("web", far(&[term("db", "zone")])), &nodes), [true; 3]);
    let verdicts = verdicts_of(
        &InterPodAffinity::default(),
        &pod("web", far(&[term("web", "zone")])),
        &Snapshot::from_iter(nodes),
    );
    assert_eq!(verdicts[0], Some((ANTI_AFFINITY.to_owned(), true)), "fewer pods would help");
}

#[test]
fn any_term_of_required_anti_affinity_is_enough() {
    let wish = far(&[term("db", "kubernetes.io/hostname"), term("web", "zone")]);
    let nodes = [holding("n1", "a", &[plain("web")]), holding("n2", "b", &[plain("db")]), node("n3", "b")];
    assert_eq!(takes(&pod("api", wish), &nodes), [false, false, true]);
}

#[test]
fn the_anti_affinity_of_pods_that_are_there_counts_too() {
    let shy = || pod("db", far(&[term("web", "zone")]));
    let nodes = [holding("n1", "a", &[shy()]), node("n2", "a"), node("n3", "b")];
    assert_eq!(reasons(&plain("web"), &nodes), [Some(FORBIDDEN.to_owned()), Some(FORBIDDEN.to_owned()), None]);
    assert_eq!(takes(&plain("api"), &nodes), [true; 3]);
    let snapshot = Snapshot::from_iter(nodes);
    let verdicts = verdicts_of(&InterPodAffinity::default(), &plain("web"), &snapshot);
    assert_eq!(verdicts[0], Some((FORBIDDEN.to_owned(), true)), "fewer pods would help");
}

#[test]
fn the_required_affinity_of_pods_that_are_there_forbids_nothing() {
    let nodes = [holding("n1", "a", &[pod("db", near(&[term("web", "zone")]))]), node("n2", "b")];
    assert_eq!(takes(&plain("api"), &nodes), [true, true]);
}

#[test]
fn affinity_is_judged_first_and_then_the_pods_own_anti_affinity() {
    let shy = || pod("web", far(&[term("web", "zone")]));
    let both = |own: Value| with(near(&[term("db", "zone")]), own);
    let nodes = [holding("n1", "a", &[shy()]), holding("n2", "b", &[shy(), plain("db")])];
    let expected = [Some(NO_AFFINITY.to_owned()), Some(ANTI_AFFINITY.to_owned())];
    assert_eq!(reasons(&pod("web", both(far(&[term("web", "zone")]))), &nodes), expected);
    let expected = [Some(NO_AFFINITY.to_owned()), Some(FORBIDDEN.to_owned())];
    assert_eq!(reasons(&pod("web", both(json!({}))), &nodes), expected);
}

#[test]
fn a_term_means_pods_of_the_namespaces_it_names() {
    let nodes = [holding("n1", "a", &[pod_in("other", "web", Value::Null)]), node("n2", "b")];
    let keeps_off = |more: Value| takes(&pod("web", far(&[with(term("web", "zone"), more)])), &nodes) == [false, true];
    assert!(!keeps_off(json!({})));
    assert!(keeps_off(json!({ "namespaces": ["other"] })));
    assert!(!keeps_off(json!({ "namespaces": ["third"] })));
    assert!(keeps_off(json!({ "namespaceSelector": {} })), "an empty selector means all namespaces");
    let shy = |more: Value| pod_in("other", "db", far(&[with(term("web", "zone"), more)]));
    let is_kept_off = |more: Value| takes(&plain("web"), &[holding("n1", "a", &[shy(more)])]) == [false];
    assert!(!is_kept_off(json!({})));
    assert!(is_kept_off(json!({ "namespaces": ["default"] })));
    assert!(is_kept_off(json!({ "namespaceSelector": {} })));
}

fn namespace(name: &str, labels: Value) -> Arc<Namespace> {
    Arc::new(serde_json::from_value(json!({ "metadata": { "name": name, "labels": labels } })).unwrap())
}

#[test]
fn a_term_means_pods_of_the_namespaces_whose_labels_it_selects() {
    let selecting = |app: &str, team: &str| {
        with(term(app, "zone"), json!({ "namespaceSelector": { "matchLabels": { "team": team } } }))
    };
    let mut snapshot = Snapshot::from_iter([
        holding("n1", "a", &[pod_in("other", "web", far(&[selecting("api", "b")]))]),
        node("n2", "b"),
    ]);
    let plugin = InterPodAffinity::default();
    let takes = |snapshot: &Snapshot, pod: &PodInfo| -> Vec<bool> {
        verdicts_of(&plugin, pod, snapshot).iter().map(Option::is_none).collect()
    };
    let own = pod("db", far(&[selecting("web", "a")]));
    assert_eq!(takes(&snapshot, &own), [true, true], "the namespace is not known");
    snapshot.objects_mut().set(namespace("other", json!({ "team": "b" })));
    assert_eq!(takes(&snapshot, &own), [true, true]);
    snapshot.objects_mut().set(namespace("other", json!({ "team": "a" })));
    assert_eq!(takes(&snapshot, &own), [false, true]);
    // The terms of pods that are there ask for the labels of the incoming pod's namespace.
    assert_eq!(takes(&snapshot, &plain("api")), [true, true]);
    snapshot.objects_mut().set(namespace("default", json!({ "team": "b" })));
    assert_eq!(takes(&snapshot, &plain("api")), [false, true]);
    let liking = pod("api", prefers_near(&[(1, selecting("web", "a"))]));
    let mut state = CycleState::default();
    plugin.pre_filter(&mut state, &liking, &snapshot);
    let nodes: Vec<&NodeInfo> = snapshot.iter().map(|node| &**node).collect();
    assert!(plugin.pre_score(&mut state, &liking, &nodes));
    assert_eq!((plugin.score(&state, &liking, nodes[0]), plugin.score(&state, &liking, nodes[1])), (1, 0));
}

#[test]
fn pods_that_are_being_deleted_count_until_they_are_gone() {
    let mut ending = (**pod("web", far(&[term("api", "zone")])).pod()).clone();
    ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    let nodes = [holding("n1", "a", &[ending.into()])];
    assert_eq!(takes(&pod("x", near(&[term("web", "zone")])), &nodes), [true]);
    assert_eq!(takes(&pod("x", far(&[term("web", "zone")])), &nodes), [false]);
    assert_eq!(takes(&plain("api"), &nodes), [false]);
}

#[test]
fn keys_of_labels_are_the_api_servers_to_merge() {
    // A pod that has been through it: its own value stands in the selector.
    let merged = json!({ "matchLabelKeys": ["app"], "labelSelector": { "matchExpressions": [
        { "key": "app", "operator": "In", "values": ["web"] }] } });
    let nodes = [holding("n1", "a", &[plain("web")]), holding("n2", "b", &[plain("db")])];
    assert_eq!(takes(&pod("web", far(&[with(term("web", "zone"), merged)])), &nodes), [false, true]);
    // One that has not: kube-scheduler does not look at them.
    let everything =
        json!({ "topologyKey": "zone", "labelSelector": {}, "matchLabelKeys": ["app"], "mismatchLabelKeys": ["app"] });
    assert_eq!(takes(&pod("web", far(&[everything])), &nodes), [false, false]);
}

#[test]
fn a_pod_with_an_invalid_selector_is_rejected() {
    let invalid = json!({ "labelSelector": { "matchExpressions": [{ "key": "a", "operator": "Near" }] } });
    let pod = pod("web", near(&[with(term("web", "zone"), invalid)]));
    let outcome = InterPodAffinity::default().pre_filter(&mut CycleState::default(), &pod, &Snapshot::default());
    let reason = "parsing pod: requiredAffinityTerms: \"Near\" is not a valid label selector operator";
    assert_eq!(outcome, PreFilterOutcome::Reject(Rejection::new(reason).unresolvable()));
}

#[test]
fn an_invalid_selector_of_a_pod_that_is_there_is_passed_over() {
    let invalid = json!({ "labelSelector": { "matchExpressions": [{ "key": "a", "operator": "Near" }] } });
    let there = pod("db", far(&[with(term("web", "zone"), invalid), term("web", "zone")]));
    assert_eq!(takes(&plain("web"), &[holding("n1", "a", &[there])]), [true]);
}

#[test]
fn preferred_terms_compare_nodes_by_weight() {
    let nodes = [holding("n1", "a", &[plain("db")]), holding("n2", "b", &[plain("db"), plain("db")]), node("n3", "c")];
    assert_eq!(scores(&pod("web", prefers_near(&[(5, term("db", "zone"))])), &nodes), Some(vec![50, 100, 0]));
    assert_eq!(scores(&pod("web", prefers_far(&[(5, term("db", "zone"))])), &nodes), Some(vec![50, 0, 100]));
    assert_eq!(takes(&pod("web", prefers_far(&[(5, term("db", "zone"))])), &nodes), [true; 3]);
    let both =
        with(prefers_near(&[(30, term("db", "zone"))]), prefers_far(&[(10, term("db", "kubernetes.io/hostname"))]));
    assert_eq!(scores(&pod("web", both), &nodes), Some(vec![50, 100, 0]));
}

#[test]
fn scores_are_rounded_down() {
    let nodes = [
        holding("n1", "a", &[plain("db")]),
        holding("n2", "b", &[plain("db"), plain("db"), plain("db")]),
        node("n3", "c"),
    ];
    assert_eq!(scores(&pod("web", prefers_near(&[(1, term("db", "zone"))])), &nodes), Some(vec![33, 100, 0]));
}

#[test]
fn what_pods_that_are_there_prefer_counts_too() {
    let fond = || pod("db", prefers_near(&[(4, term("web", "zone"))]));
    let shy = || pod("db", prefers_far(&[(4, term("web", "zone"))]));
    let nodes = [holding("n1", "a", &[fond()]), holding("n2", "b", &[shy()]), node("n3", "c")];
    assert_eq!(scores(&plain("web"), &nodes), Some(vec![100, 0, 50]));
    assert_eq!(scores(&plain("api"), &nodes), None);
}

#[test]
fn what_pods_that_are_there_require_to_be_near_weighs_as_configured() {
    let needy = || pod("db", near(&[term("web", "zone")]));
    let fond = || pod("db", prefers_near(&[(4, term("web", "zone"))]));
    let nodes = [holding("n1", "a", &[needy()]), holding("n2", "b", &[fond()]), node("n3", "c")];
    let with_weight = |weight: i32| {
        let args = serde_json::from_value(json!({ "hardPodAffinityWeight": weight })).unwrap();
        scores_of(&InterPodAffinity::new(args).unwrap(), &plain("web"), &nodes)
    };
    assert_eq!(scores(&plain("web"), &nodes), Some(vec![25, 100, 0]));
    assert_eq!(with_weight(2), Some(vec![50, 100, 0]));
    assert_eq!(with_weight(8), Some(vec![100, 50, 0]));
    assert_eq!(with_weight(0), Some(vec![0, 100, 0]));
}

#[test]
fn what_pods_that_are_there_prefer_can_be_ignored() {
    let args = json!({ "ignorePreferredTermsOfExistingPods": true });
    let plugin = InterPodAffinity::new(serde_json::from_value(args).unwrap()).unwrap();
    let fond = || pod("db", with(prefers_near(&[(4, term("web", "zone"))]), near(&[term("web", "zone")])));
    let nodes = [holding("n1", "a", &[fond()]), holding("n2", "b", &[plain("api")])];
    assert_eq!(scores_of(&plugin, &plain("web"), &nodes), None);
    assert!(scores(&plain("web"), &nodes).is_some());
    // A pod that prefers something itself is compared by all.
    let picky = pod("web", prefers_near(&[(5, term("api", "zone"))]));
    assert_eq!(scores_of(&plugin, &picky, &nodes), Some(vec![0, 0]));
}

#[test]
fn arguments_are_checked() {
    let new = |args: Value| {
        let args = serde_json::from_value::<InterPodAffinityArgs>(args).map_err(|error| error.to_string())?;
        InterPodAffinity::new(args).map(|plugin| plugin.args)
    };
    assert_eq!(new(json!({})), Ok(InterPodAffinityArgs::default()));
    assert_eq!(new(json!({ "hardPodAffinityWeight": 100 })).unwrap().hard_pod_affinity_weight, 100);
    for weight in [-1, 101] {
        let error = format!("hardPodAffinityWeight: Invalid value: {weight}: not in valid range [0-100]");
        assert_eq!(new(json!({ "hardPodAffinityWeight": weight })), Err(error));
    }
    assert!(new(json!({ "hardPodAffinity": 1 })).is_err());
}

fn helps(event: ClusterEvent, pod: &PodInfo) -> bool {
    let plugin = InterPodAffinity::default();
    plugin.concerns(event.kind()) && plugin.may_help(&event, pod)
}

#[test]
fn a_pod_to_be_near_to_is_worth_another_attempt() {
    let wish = pod("web", near(&[term("db", "zone"), term("db", "kubernetes.io/hostname")]));
    let assigned = |app: &str| ClusterEvent::PodAssigned(Arc::new(plain(app)));
    assert!(helps(assigned("db"), &wish));
    assert!(!helps(assigned("web"), &wish));
    assert!(!helps(assigned("db"), &pod("web", far(&[term("db", "zone")]))));
    let updated = |old: &str, new: &str| ClusterEvent::AssignedPodUpdated {
        old: Arc::new(plain(old)),
        new: Arc::new(plain(new)),
    };
    assert!(helps(updated("api", "db"), &wish));
    assert!(!helps(updated("db", "db"), &wish));
    assert!(!helps(updated("db", "api"), &wish));
    // The labels of its namespace are not known here.
    let selecting =
        |app: &str| with(term(app, "zone"), json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } }));
    assert!(helps(assigned("db"), &pod("web", near(&[selecting("db")]))));
    assert!(!helps(assigned("web"), &pod("web", near(&[selecting("db")]))));
}

#[test]
fn a_pod_to_be_far_from_that_goes_is_worth_another_attempt() {
    let released = |pod: PodInfo| ClusterEvent::PodReleased(Arc::new(pod));
    let wish = pod("web", far(&[term("db", "zone"), term("api", "zone")]));
    assert!(helps(released(plain("api")), &wish));
    assert!(!helps(released(plain("web")), &wish));
    let updated = |old: &str, new: &str| ClusterEvent::AssignedPodUpdated {
        old: Arc::new(plain(old)),
        new: Arc::new(plain(new)),
    };
    assert!(helps(updated("api", "web"), &wish));
    assert!(!helps(updated("web", "api"), &wish));
    // Nor did the one that goes want to be near.
    assert!(helps(released(pod("db", far(&[term("web", "zone")]))), &plain("web")));
    assert!(!helps(released(pod("db", far(&[term("api", "zone")]))), &plain("web")));
}

#[test]
fn the_last_of_a_group_that_goes_is_worth_another_attempt() {
    let released = |app: &str| ClusterEvent::PodReleased(Arc::new(plain(app)));
    let updated = ClusterEvent::AssignedPodUpdated { old: Arc::new(plain("web")), new: Arc::new(plain("api")) };
    assert!(helps(released("web"), &pod("web", near(&[term("web", "zone")]))));
    assert!(helps(updated, &pod("web", near(&[term("web", "zone")]))));
    assert!(!helps(released("db"), &pod("web", near(&[term("db", "zone")]))));
}

#[test]
fn a_node_with_a_key_or_another_value_is_worth_another_attempt() {
    let bare = || Arc::new(testing::node(json!({})));
    let zoned = |zone: &str| Arc::new(node("n1", zone));
    let (wish, aversion) = (pod("web", near(&[term("db", "zone")])), pod("web", far(&[term("db", "zone")])));
    assert!(helps(ClusterEvent::NodeAdded(zoned("a")), &wish));
    assert!(!helps(ClusterEvent::NodeAdded(bare()), &wish));
    assert!(helps(ClusterEvent::NodeAdded(bare()), &aversion));
    for pod in [&wish, &aversion, &plain("web")] {
        assert!(helps(ClusterEvent::NodeUpdated { old: zoned("a"), new: zoned("b") }, pod));
        assert!(!helps(ClusterEvent::NodeUpdated { old: zoned("a"), new: zoned("a") }, pod));
    }
}

#[test]
fn a_namespace_with_other_labels_is_worth_another_attempt_where_it_changes_what_is_meant() {
    let changed = |name: &str, old: Value, new: Value| {
        let change = Change::Updated { old: namespace(name, old), new: namespace(name, new) };
        ClusterEvent::ObjectChanged(change.into())
    };
    let selecting = with(term("db", "zone"), json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } }));
    let everything = with(term("db", "zone"), json!({ "namespaceSelector": {} }));
    for pod in [pod("web", near(std::slice::from_ref(&selecting))), pod("web", far(std::slice::from_ref(&selecting)))] {
        assert!(helps(changed("other", json!({}), json!({ "team": "a" })), &pod));
        assert!(helps(changed("other", json!({ "team": "a" }), json!({ "team": "b" })), &pod));
        assert!(!helps(changed("other", json!({ "team": "c" }), json!({ "team": "b" })), &pod));
        let come = Change::Added(namespace("new", json!({ "team": "a" })));
        assert!(helps(ClusterEvent::ObjectChanged(come.into()), &pod));
    }
    let other = changed("other", json!({}), json!({ "team": "a" }));
    assert!(!helps(other.clone(), &pod("web", near(&[everything]))));
    assert!(!helps(other, &pod("web", prefers_near(&[(1, selecting)]))));
    assert!(
        helps(changed("default", json!({ "team": "a" }), json!({})), &plain("web")),
        "others may mean it no longer"
    );
    assert!(!helps(changed("default", json!({ "team": "a" }), json!({ "team": "a" })), &plain("web")));
}

#[test]
fn other_labels_of_its_own_are_worth_another_attempt() {
    let updated =
        |old: &str, new: &str| ClusterEvent::PodUpdated { old: Arc::new(plain(old)), new: Arc::new(plain(new)) };
    assert!(helps(updated("web", "api"), &plain("api")));
    assert!(!helps(updated("web", "web"), &plain("web")));
}

/// What the plugin says of each node once pods came to or left the first.
fn tried(pod: &PodInfo, nodes: &[NodeInfo], come: &[PodInfo], left: &[PodInfo]) -> Vec<bool> {
    let plugin = InterPodAffinity::default();
    let mut state = CycleState::default();
    assert_eq!(
        plugin.pre_filter(&mut state, pod, &Snapshot::from_iter(nodes.iter().cloned())),
        PreFilterOutcome::Continue
    );
    let before: Vec<_> = nodes.iter().map(|node| plugin.filter(&state, pod, node)).collect();
    come.iter().for_each(|other| plugin.add_pod(&mut state, pod, other, &nodes[0]));
    left.iter().for_each(|other| plugin.remove_pod(&mut state, pod, other, &nodes[0]));
    let tried = nodes.iter().map(|node| plugin.filter(&state, pod, node).is_ok()).collect();
    left.iter().for_each(|other| plugin.add_pod(&mut state, pod, other, &nodes[0]));
    come.iter().for_each(|other| plugin.remove_pod(&mut state, pod, other, &nodes[0]));
    let after: Vec<_> = nodes.iter().map(|node| plugin.filter(&state, pod, node)).collect();
    assert_eq!(before, after);
    tried
}

#[test]
fn pods_that_leave_on_trial_are_not_counted() {
    let (db, web) = (plain("db"), || far(&[term("db", "zone")]));
    let nodes = [holding("n1", "a", &[db.clone(), db.clone()]), node("n2", "a")];
    assert_eq!(tried(&pod("web", web()), &nodes, &[], std::slice::from_ref(&db)), [false, false], "there is another");
    assert_eq!(tried(&pod("web", web()), &nodes, &[], &[db.clone(), db]), [true, true]);
    let shy = pod("db", far(&[term("web", "zone")]));
    let nodes = [holding("n1", "a", std::slice::from_ref(&shy)), node("n2", "a"), node("n3", "b")];
    assert_eq!(tried(&plain("web"), &nodes, &[], &[shy]), [true; 3]);
}

#[test]
fn pods_that_come_on_trial_are_counted() {
    let nodes = [node("n1", "a"), node("n2", "a"), node("n3", "b")];
    let near_db = pod("web", near(&[term("db", "zone")]));
    assert_eq!(tried(&near_db, &nodes, &[plain("db")], &[]), [true, true, false]);
    assert_eq!(tried(&pod("web", far(&[term("db", "zone")])), &nodes, &[plain("db")], &[]), [false, false, true]);
    // One whose terms nobody that is there has.
    let shy = pod("api", far(&[term("web", "kubernetes.io/hostname")]));
    let aversion = pod("web", far(&[term("db", "zone")]));
    assert_eq!(tried(&aversion, &nodes, &[shy], &[]), [false, true, true]);
}

#[test]
fn the_first_of_a_group_is_not_the_first_if_another_comes_on_trial() {
    let wish = || near(&[term("web", "zone")]);
    let nodes = [node("n1", "a"), node("n2", "b")];
    assert_eq!(tried(&pod("web", wish()), &nodes, &[plain("web")], &[]), [true, false]);
    let nodes = [holding("n1", "a", &[plain("web")]), node("n2", "b")];
    assert_eq!(tried(&pod("web", wish()), &nodes, &[], &[plain("web")]), [true, true]);
}

/// Affinity of each sort, with terms that mean each other's pods.
fn affinity(sort: usize, app: &str, key: &str) -> Value {
    match sort {
        0 => near(&[term(app, key)]),
        1 => far(&[term(app, key)]),
        2 => prefers_near(&[(3, term(app, key))]),
        3 => prefers_far(&[(2, term(app, key)), (1, term("web", "zone"))]),
        4 => with(far(&[term(app, key)]), near(&[term("web", "zone")])),
        _ => Value::Null,
    }
}

proptest! {
    /// A plugin that remembers tells the same as one that sees the cluster for the first time, whatever happened in between.
    #[test]
    fn what_is_remembered_changes_nothing(
        steps in vec((0..8_usize, 0..10_usize, 0..3_usize, 0..6_usize, 0..3_usize, any::<bool>()), 1..60),
    ) {
        let (zones, apps) = (["a", "b", "c"], ["web", "db", "api"]);
        let remembering = InterPodAffinity::default();
        let mut snapshot = Snapshot::from_iter((0..6).map(|n| node(&format!("n{n}"), zones[n % 2])));
        let mut placed: Vec<(String, Arc<str>)> = Vec::new();
        for (round, (number, what, zone, sort, app, by_zone)) in steps.into_iter().enumerate() {
            let name = format!("n{number}");
            let key = if by_zone { "zone" } else { "kubernetes.io/hostname" };
            match what {
                0 => drop(snapshot.remove(&name)),
                1 => snapshot.insert(node(&name, zones[zone])),
                2 | 3 if !placed.is_empty() => {
                    let (node, id) = placed.swap_remove(round % placed.len());
                    snapshot.update(&node, |info| info.remove_pod(&id));
                }
                _ => {
                    let mut new = (**pod(apps[app], affinity(sort, apps[zone], key)).pod()).clone();
                    new.metadata.uid = Some(format!("p{round}"));
                    let new = Arc::new(PodInfo::from(new));
                    placed.push((name.clone(), new.id().clone()));
                    snapshot.update(&name, |info| info.add_pod(new));
                }
            }
            let waiting = pod(apps[round % 3], affinity(round % 6, apps[app], key));
            let nodes: Vec<NodeInfo> = snapshot.iter().map(|node| (**node).clone()).collect();
            // A copy that goes another way leaves nothing behind.
            let mut aside = snapshot.clone();
            aside.update("n1", |info| info.add_pod(Arc::new(pod("web", affinity(1, "web", "zone")))));
            verdicts_of(&remembering, &waiting, &aside);
            let fresh = verdicts_of(&InterPodAffinity::default(), &waiting, &snapshot);
            prop_assert_eq!(verdicts_of(&remembering, &waiting, &snapshot), fresh, "round {}", round);
            let mut state = CycleState::default();
            remembering.pre_filter(&mut state, &waiting, &snapshot);
            let feasible: Vec<&NodeInfo> = nodes.iter().collect();
            let remembered = remembering.pre_score(&mut state, &waiting, &feasible).then(|| {
                feasible.iter().map(|node| remembering.score(&state, &waiting, node)).collect::<Vec<_>>()
            });
            let mut state = CycleState::default();
            let fresh = InterPodAffinity::default();
            fresh.pre_filter(&mut state, &waiting, &snapshot);
            let anew = fresh.pre_score(&mut state, &waiting, &feasible).then(|| {
                feasible.iter().map(|node| fresh.score(&state, &waiting, node)).collect::<Vec<_>>()
            });
            prop_assert_eq!(remembered, anew, "round {}", round);
        }
    }
}
