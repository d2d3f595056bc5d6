use std::sync::Arc;

use orchestra_core::scheduler::{ClusterEvent, NodeInfo, PodInfo, Snapshot};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{super::testing, *};

const SKEWED: &str = "node(s) didn't match pod topology spread constraints";
const NO_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";

/// A node in a zone, with pods of these apps.
fn node(name: &str, zone: &str, apps: &[&str]) -> NodeInfo {
    let labels = json!({"zone": zone, "kubernetes.io/hostname": name});
    let mut node = testing::node(json!({"metadata": {"name": name, "labels": labels}}));
    for (number, app) in apps.iter().enumerate() {
        node.add_pod(Arc::new(app_pod(&format!("{name}-{number}"), app, json!([]))));
    }
    node
}

fn app_pod(name: &str, app: &str, constraints: Value) -> PodInfo {
    let pod = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": app}},
        "spec": {"containers": [{"name": "c"}], "topologySpreadConstraints": constraints},
    });
    serde_json::from_value::<k8s_openapi::api::core::v1::Pod>(pod).unwrap().into()
}

fn constraint(key: &str, more: Value) -> Value {
    let mut constraint = json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}});
    testing::merge(&mut constraint, more);
    constraint
}

/// A pod of `web` with these constraints.
fn web(constraints: &[Value]) -> PodInfo {
    app_pod("new", "web", json!(constraints))
}

/// Why each node is left out, by plugin as it is.
fn verdicts_of(plugin: &PodTopologySpread, pod: &PodInfo, snapshot: &Snapshot) -> Vec<Option<String>> {
    let mut state = CycleState::default();
    match plugin.pre_filter(&mut state, pod, snapshot) {
        PreFilterOutcome::Skip => return vec![None; snapshot.len()],
        PreFilterOutcome::Continue => {}
        other => panic!("{other:?}"),
    }
    let verdict = |node: &Arc<NodeInfo>| plugin.filter(&state, pod, node).err().map(|r| r.reasons().join(", "));
    snapshot.iter().map(verdict).collect()
}

fn verdicts(pod: &PodInfo, nodes: &[NodeInfo]) -> Vec<Option<String>> {
    verdicts_of(&PodTopologySpread::default(), pod, &Snapshot::from_iter(nodes.iter().cloned()))
}

fn takes(pod: &PodInfo, nodes: &[NodeInfo]) -> Vec<bool> {
    verdicts(pod, nodes).iter().map(Option::is_none).collect()
}

fn scores(pod: &PodInfo, nodes: &[NodeInfo]) -> Option<Vec<i64>> {
    testing::scores(&PodTopologySpread::default(), pod, &nodes.iter().collect::<Vec<_>>())
}

#[test]
fn a_pod_without_constraints_goes_anywhere() {
    assert_eq!(takes(&web(&[]), &[node("n1", "a", &["web"]), node("n2", "b", &[])]), [true, true]);
    assert_eq!(scores(&web(&[]), &[node("n1", "a", &["web"]), node("n2", "b", &[])]), None);
}

#[test]
fn no_value_gets_more_than_the_skew_ahead_of_the_least() {
    // The documentation's cluster: zone A has two pods, zone B one.
    let nodes = [
        node("n1", "a", &["web", "other"]),
        node("n2", "a", &["web"]),
        node("n3", "b", &["web"]),
        node("n4", "b", &[]),
    ];
    assert_eq!(takes(&web(&[constraint("zone", json!({}))]), &nodes), [false, false, true, true]);
    assert_eq!(takes(&web(&[constraint("zone", json!({"maxSkew": 2}))]), &nodes), [true; 4]);
    let expected = [Some(SKEWED.to_owned()), Some(SKEWED.to_owned()), None, None];
    assert_eq!(verdicts(&web(&[constraint("zone", json!({}))]), &nodes), expected);
}

#[test]
fn all_constraints_have_to_hold() {
    let nodes = [node("n1", "a", &["web"]), node("n2", "a", &["web"]), node("n3", "b", &["web"]), node("n4", "b", &[])];
    let pod = web(&[constraint("zone", json!({})), constraint("kubernetes.io/hostname", json!({}))]);
    assert_eq!(takes(&pod, &nodes), [false, false, false, true]);
}

#[test]
fn a_node_without_the_label_is_left_out_and_does_not_count() {
    let mut bare = testing::node(json!({"metadata": {"name": "n0"}}));
    bare.add_pod(Arc::new(app_pod("x", "web", json!([]))));
    let nodes = [bare, node("n1", "a", &["web"]), node("n2", "b", &["web"])];
    let expected = [Some(NO_LABEL.to_owned()), None, None];
    assert_eq!(verdicts(&web(&[constraint("zone", json!({}))]), &nodes), expected);
}

#[test]
fn pods_of_other_namespaces_and_such_that_end_do_not_count() {
    let mut first = node("n1", "a", &[]);
    let mut elsewhere = (**app_pod("e", "web", json!([])).pod()).clone();
    elsewhere.metadata.namespace = Some("other".to_owned());
    let mut ending = (**app_pod("d", "web", json!([])).pod()).clone();
    ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
    for pod in [elsewhere, ending] {
        first.add_pod(Arc::new(pod.into()));
    }
    let nodes = [first, node("n2", "b", &[])];
    assert_eq!(takes(&web(&[constraint("zone", json!({}))]), &nodes), [true, true]);
}

#[test]
fn a_pod_that_its_own_selector_leaves_out_does_not_raise_the_skew() {
    let nodes = [node("n1", "a", &["web"]), node("n2", "b", &[])];
    let other = app_pod("new", "other", json!([constraint("zone", json!({}))]));
    assert_eq!(takes(&other, &nodes), [true, true]);
    assert_eq!(takes(&web(&[constraint("zone", json!({}))]), &nodes), [false, true]);
}

#[test]
fn without_a_selector_no_pod_counts() {
    let nodes = [node("n1", "a", &["web", "web", "web"]), node("n2", "b", &[])];
    assert_eq!(takes(&web(&[constraint("zone", json!({"labelSelector": null}))]), &nodes), [true, true]);
}

#[test]
fn too_few_values_count_as_one_without_pods() {
    let nodes = [node("n1", "a", &["web"]), node("n2", "b", &["web"])];
    assert_eq!(takes(&web(&[constraint("zone", json!({"minDomains": 2}))]), &nodes), [true, true]);
    assert_eq!(takes(&web(&[constraint("zone", json!({"minDomains": 3}))]), &nodes), [false, false]);
}

#[test]
fn match_label_keys_narrow_what_counts_to_the_pods_own_values() {
    let nodes = [node("n1", "a", &["web", "web"]), node("n2", "b", &[])];
    let everything =
        |keys: &[&str]| constraint("zone", json!({"labelSelector": {"matchLabels": null}, "matchLabelKeys": keys}));
    let new = app_pod("new", "web-2", json!([everything(&["app"])]));
    assert_eq!(takes(&new, &nodes), [true, true]);
    // A key that the pod has no label of is passed over.
    let new = app_pod("new", "web-2", json!([everything(&["absent"])]));
    assert_eq!(takes(&new, &nodes), [false, true]);
}

#[test]
fn nodes_where_the_pod_may_not_go_count_only_if_affinity_is_ignored() {
    let nodes = [node("n1", "a", &["web"]), node("n2", "b", &["web"]), node("n3", "c", &[])];
    let bound_to = |policy: Option<&str>| {
        let mut pod = (**web(&[constraint("zone", json!({"nodeAffinityPolicy": policy}))]).pod()).clone();
        let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["c"]}]}]}}});
        pod.spec.as_mut().unwrap().affinity = serde_json::from_value(affinity).unwrap();
        PodInfo::from(pod)
    };
    assert_eq!(takes(&bound_to(None), &nodes), [true, true, true]);
    assert_eq!(takes(&bound_to(Some("Honor")), &nodes), [true, true, true]);
    assert_eq!(takes(&bound_to(Some("Ignore")), &nodes), [false, false, true]);
}

#[test]
fn tainted_nodes_count_unless_taints_are_honored() {
    let tainted = |tolerated: bool, policy: Option<&str>| {
        let labels = json!({"zone": "c"});
        let taints = json!([{"key": "k", "effect": "NoSchedule"}]);
        let third = testing::node(json!({"metadata": {"name": "n3", "labels": labels}, "spec": {"taints": taints}}));
        let mut pod = (**web(&[constraint("zone", json!({"nodeTaintsPolicy": policy}))]).pod()).clone();
        if tolerated {
            pod.spec.as_mut().unwrap().tolerations = serde_json::from_value(json!([{"operator": "Exists"}])).unwrap();
        }
        takes(&pod.into(), &[node("n1", "a", &["web"]), node("n2", "b", &["web"]), third])
    };
    assert_eq!(tainted(false, None), [false, false, true]);
    assert_eq!(tainted(false, Some("Ignore")), [false, false, true]);
    assert_eq!(tainted(false, Some("Honor"))[..2], [true, true]);
    assert_eq!(tainted(true, Some("Honor")), [false, false, true]);
}

#[test]
fn an_invalid_selector_fails_the_attempt() {
    let invalid = json!({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}});
    for policy in ["DoNotSchedule", "ScheduleAnyway"] {
        let mut invalid = invalid.clone();
        invalid["whenUnsatisfiable"] = json!(policy);
        let outcome = PodTopologySpread::default().pre_filter(
            &mut CycleState::default(),
            &web(&[constraint("zone", invalid)]),
            &Snapshot::default(),
        );
        assert!(matches!(outcome, PreFilterOutcome::Fail(_)), "{outcome:?}");
    }
}

#[test]
fn constraints_that_need_not_hold_compare_nodes() {
    let soft = |key: &str| constraint(key, json!({"whenUnsatisfiable": "ScheduleAnyway"}));
    let nodes = [node("n1", "a", &["web", "web"]), node("n2", "b", &["web"]), node("n3", "c", &[])];
    assert_eq!(takes(&web(&[soft("zone")]), &nodes), [true; 3]);
    for key in ["zone", "kubernetes.io/hostname"] {
        let scores = scores(&web(&[soft(key)]), &nodes).unwrap();
        assert_eq!(scores[2], 100, "{scores:?}");
        assert!(scores[0] < scores[1] && scores[1] < scores[2], "{scores:?}");
    }
}

#[test]
fn a_node_without_a_preferred_label_scores_nothing() {
    let soft = constraint("zone", json!({"whenUnsatisfiable": "ScheduleAnyway"}));
    let bare = testing::node(json!({"metadata": {"name": "n0"}}));
    let nodes = [bare, node("n1", "a", &["web"]), node("n2", "b", &[])];
    let scores = scores(&web(&[soft]), &nodes).unwrap();
    assert_eq!(scores[0], 0);
    assert!(scores[1] < scores[2], "{scores:?}");
}

#[test]
fn what_changes_a_count_or_a_value_is_worth_another_attempt() {
    let (plugin, pod) = (PodTopologySpread::default(), web(&[constraint("zone", json!({}))]));
    let released = |app: &str| ClusterEvent::PodReleased(Arc::new(app_pod("x", app, json!([]))));
    assert!(plugin.may_help(&released("web"), &pod));
    assert!(!plugin.may_help(&released("other"), &pod));
    let updated = |old: &str, new: &str| ClusterEvent::AssignedPodUpdated {
        old: Arc::new(app_pod("x", old, json!([]))),
        new: Arc::new(app_pod("x", new, json!([]))),
    };
    assert!(plugin.may_help(&updated("web", "other"), &pod));
    assert!(!plugin.may_help(&updated("web", "web"), &pod));
    let bare = || Arc::new(testing::node(json!({})));
    let zoned = |zone: &str| Arc::new(node("n1", zone, &[]));
    assert!(plugin.may_help(&ClusterEvent::NodeAdded(zoned("a")), &pod));
    assert!(!plugin.may_help(&ClusterEvent::NodeAdded(bare()), &pod));
    assert!(plugin.may_help(&ClusterEvent::NodeRemoved(zoned("a")), &pod));
    assert!(plugin.may_help(&ClusterEvent::NodeUpdated { old: zoned("a"), new: zoned("b") }, &pod));
    assert!(!plugin.may_help(&ClusterEvent::NodeUpdated { old: zoned("a"), new: zoned("a") }, &pod));
}

/// A pod of `web` that has no constraints, and belongs to the ReplicaSet `web`.
fn replica(name: &str) -> PodInfo {
    let mut pod = (**app_pod(name, "web", json!([])).pod()).clone();
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r", "controller": true});
    pod.metadata.owner_references = Some(vec![serde_json::from_value(owner).unwrap()]);
    pod.into()
}

fn object<K: serde::de::DeserializeOwned>(name: &str, spec: Value) -> Arc<K> {
    let object = json!({"metadata": {"name": name, "namespace": "default"}, "spec": spec});
    Arc::new(serde_json::from_value(object).unwrap())
}

fn cluster(nodes: &[NodeInfo], fill: impl Fn(&mut orchestra_core::scheduler::Objects)) -> Snapshot {
    let mut snapshot = Snapshot::from_iter(nodes.iter().cloned());
    fill(snapshot.objects_mut());
    snapshot
}

fn scores_in(plugin: &PodTopologySpread, pod: &PodInfo, snapshot: &Snapshot) -> Option<Vec<i64>> {
    let (mut state, nodes) = (CycleState::default(), snapshot.iter().map(|node| &**node).collect::<Vec<_>>());
    plugin.pre_filter(&mut state, pod, snapshot);
    plugin.pre_score(&mut state, pod, &nodes).then(|| {
        let mut scores: Vec<i64> = nodes.iter().map(|node| plugin.score(&state, pod, node)).collect();
        plugin.normalize(&mut scores);
        scores
    })
}

fn with_args(args: Value) -> Result<PodTopologySpread, String> {
    PodTopologySpread::new(serde_json::from_value(args).unwrap())
}

/// A node in the zone that Kubernetes' own constraints mean, with so many pods of `web`.
fn in_zone(name: &str, zone: Option<&str>, pods: usize) -> NodeInfo {
    let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone});
    let labels: Value =
        labels.as_object().unwrap().iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
    let mut node = testing::node(json!({"metadata": {"name": name, "labels": labels}}));
    for number in 0..pods {
        node.add_pod(Arc::new(app_pod(&format!("{name}-{number}"), "web", json!([]))));
    }
    node
}

#[test]
fn pods_of_services_and_controllers_are_compared_by_hosts_and_zones_by_default() {
    use k8s_openapi::api::{
        apps::v1::{ReplicaSet, StatefulSet},
        core::v1::{ReplicationController, Service},
    };
    let plugin = PodTopologySpread::default();
    let nodes = [in_zone("n1", Some("a"), 4), in_zone("n2", Some("a"), 0), in_zone("n3", Some("b"), 0)];
    let selector = json!({"selector": {"matchLabels": {"app": "web"}}, "template": {}, "serviceName": "s"});
    let owned = |kind: &str, version: &str| {
        let mut pod = (**replica("new").pod()).clone();
        for owner in pod.metadata.owner_references.iter_mut().flatten() {
            (owner.kind, owner.api_version) = (kind.to_owned(), version.to_owned());
        }
        PodInfo::from(pod)
    };
    let alone = app_pod("new", "web", json!([]));
    let of_service =
        cluster(&nodes, |all| drop(all.set(object::<Service>("web", json!({"selector": {"app": "web"}})))));
    let of_set = cluster(&nodes, |all| drop(all.set(object::<ReplicaSet>("web", selector.clone()))));
    let of_stateful = cluster(&nodes, |all| drop(all.set(object::<StatefulSet>("web", selector.clone()))));
    let of_controller = cluster(&nodes, |all| {
        drop(all.set(object::<ReplicationController>("web", json!({"selector": {"app": "web"}}))))
    });
    for (pod, snapshot) in [
        (&alone, &of_service),
        (&replica("new"), &of_set),
        (&owned("StatefulSet", "apps/v1"), &of_stateful),
        (&owned("ReplicationController", "v1"), &of_controller),
    ] {
        let scores = scores_in(&plugin, pod, snapshot).unwrap();
        assert!(scores[0] < scores[1] && scores[1] < scores[2], "{scores:?}");
        assert_eq!(verdicts_of(&plugin, pod, snapshot), [None, None, None], "no node is left out");
    }
    for (pod, snapshot, why) in [
        (&alone, &of_set, "not of the ReplicaSet"),
        (&owned("Job", "batch/v1"), &of_set, "a controller that does not count"),
        (&replica("new"), &of_stateful, "the ReplicaSet is not there"),
        (&app_pod("new", "other", json!([])), &of_service, "not selected"),
    ] {
        assert_eq!(scores_in(&plugin, pod, snapshot), None, "{why}");
    }
}

#[test]
fn a_service_without_selector_selects_nothing() {
    use k8s_openapi::api::core::v1::Service;
    let snapshot = cluster(&[in_zone("n1", Some("a"), 1)], |all| drop(all.set(object::<Service>("web", json!({})))));
    assert_eq!(scores_in(&PodTopologySpread::default(), &app_pod("new", "web", json!([])), &snapshot), None);
}

#[test]
fn nodes_without_zone_are_still_compared_by_host_by_default() {
    use k8s_openapi::api::core::v1::Service;
    let nodes = [in_zone("n1", None, 2), in_zone("n2", None, 0), in_zone("n3", None, 1)];
    let snapshot = cluster(&nodes, |all| drop(all.set(object::<Service>("web", json!({"selector": {"app": "web"}})))));
    let scores = scores_in(&PodTopologySpread::default(), &app_pod("new", "web", json!([])), &snapshot).unwrap();
    assert!(scores[0] < scores[2] && scores[2] < scores[1], "{scores:?}");
    let zones = json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"},
                       {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}]);
    let listed = with_args(json!({"defaultingType": "List", "defaultConstraints": zones})).unwrap();
    let scores = scores_in(&listed, &app_pod("new", "web", json!([])), &snapshot);
    assert_eq!(scores, Some(vec![0, 0, 0]), "constraints of one's own need all labels");
}

#[test]
fn constraints_of_a_list_can_leave_nodes_out() {
    use k8s_openapi::api::core::v1::Service;
    let hard =
        json!([{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}]);
    let plugin = with_args(json!({"defaultingType": "List", "defaultConstraints": hard})).unwrap();
    let nodes = [in_zone("n1", Some("a"), 1), in_zone("n2", Some("b"), 0)];
    let snapshot = cluster(&nodes, |all| drop(all.set(object::<Service>("web", json!({"selector": {"app": "web"}})))));
    let pod = app_pod("new", "web", json!([]));
    assert_eq!(verdicts_of(&plugin, &pod, &snapshot), [Some(SKEWED.to_owned()), None]);
    let own = web(&[constraint("topology.kubernetes.io/zone", json!({"maxSkew": 2}))]);
    assert_eq!(verdicts_of(&plugin, &own, &snapshot), [None, None], "a pod's own constraints are instead of them");
    assert!(plugin.may_help(&ClusterEvent::PodReleased(Arc::new(pod.clone())), &pod));
}

#[test]
fn an_empty_list_means_no_constraints_and_nothing_to_watch() {
    let none = with_args(json!({"defaultingType": "List"})).unwrap();
    assert!(none.uses().is_empty());
    assert_eq!(PodTopologySpread::default().uses().len(), 4);
}

#[test]
fn wrong_arguments_are_named_in_kubernetes_words() {
    let of = |constraints: Value| with_args(json!({"defaultingType": "List", "defaultConstraints": constraints})).err();
    let good = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    let but = |changes: Value| {
        let mut constraint = good.clone();
        testing::merge(&mut constraint, changes);
        of(json!([constraint])).unwrap()
    };
    let at = "defaultConstraints[0]";
    assert_eq!(but(json!({"maxSkew": 0})), format!("{at}.maxSkew: Invalid value: 0: not in valid range (0, inf)"));
    assert_eq!(but(json!({"topologyKey": ""})), format!("{at}.topologyKey: Required value: can not be empty"));
    let prefix = r#"Invalid value: "/z": prefix part must be non-empty"#;
    assert_eq!(but(json!({"topologyKey": "/z"})), format!("{at}.topologyKey: {prefix}"));
    assert_eq!(
        but(json!({"whenUnsatisfiable": ""})),
        format!("{at}.whenUnsatisfiable: Required value: can not be empty")
    );
    let supported = r#"Unsupported value: "Never": supported values: "DoNotSchedule", "ScheduleAnyway""#;
    assert_eq!(but(json!({"whenUnsatisfiable": "Never"})), format!("{at}.whenUnsatisfiable: {supported}"));
    let selector = "Forbidden: constraint must not define a selector, as they deduced for each pod";
    assert_eq!(but(json!({"labelSelector": {}})), format!("{at}.labelSelector: {selector}"));
    assert_eq!(
        of(json!([good.clone(), good.clone()])).unwrap(),
        r#"defaultConstraints[1]: Duplicate value: "{zone, DoNotSchedule}""#
    );
    assert_eq!(
        with_args(json!({"defaultConstraints": [good]})).err().unwrap(),
        r#"defaultingType: Invalid value: "System": when .defaultConstraints are not empty"#
    );
    assert_eq!(
        with_args(json!({"defaultingType": "None"})).err().unwrap(),
        r#"defaultingType: Unsupported value: "None": supported values: "System", "List""#
    );
}

#[test]
fn a_pod_that_changes_looks_again_if_it_counts_otherwise_or_tolerates_more() {
    let plugin = PodTopologySpread::default();
    let updated = |old: &PodInfo, new: &PodInfo| ClusterEvent::PodUpdated {
        old: Arc::new(old.clone()),
        new: Arc::new(new.clone()),
    };
    let pod = web(&[constraint("zone", json!({"nodeTaintsPolicy": "Honor"}))]);
    let other = app_pod("new", "other", json!([constraint("zone", json!({}))]));
    let mut tolerant = (**pod.pod()).clone();
    let toleration = serde_json::from_value(json!({"operator": "Exists"})).unwrap();
    tolerant.spec.as_mut().unwrap().tolerations = Some(vec![toleration]);
    let tolerant = PodInfo::from(tolerant);
    assert!(plugin.may_help(&updated(&pod, &other), &pod));
    assert!(plugin.may_help(&updated(&pod, &tolerant), &pod));
    assert!(!plugin.may_help(&updated(&pod, &pod), &pod));
    let ignoring = web(&[constraint("zone", json!({}))]);
    assert!(!plugin.may_help(&updated(&pod, &tolerant), &ignoring));
}

proptest! {
    /// Pods that are said to come or go change the verdicts as if they had, and nothing is left of it when it is undone.
    #[test]
    fn pods_on_trial_count_as_others_do(
        places in vec((0..4_usize, any::<bool>()), 0..12),
        trials in vec((0..4_usize, any::<bool>(), any::<bool>()), 1..8),
        by_zone: bool, skew in 1..3, domains in 1..5,
    ) {
        let plugin = PodTopologySpread::default();
        let app = |counts: bool| if counts { "web" } else { "other" };
        let mut snapshot = Snapshot::from_iter((0..4).map(|n| node(&format!("n{n}"), ["a", "b"][n % 2], &[])));
        for (i, (n, counts)) in places.into_iter().enumerate() {
            let pod = app_pod(&format!("p{i}"), app(counts), json!([]));
            snapshot.update(&format!("n{n}"), |info| info.add_pod(Arc::new(pod)));
        }
        let pod = web(&[
            constraint(if by_zone { "zone" } else { "kubernetes.io/hostname" }, json!({"maxSkew": skew, "minDomains": domains})),
            constraint("zone", json!({"maxSkew": skew + 1})),
        ]);
        let verdicts = |state: &CycleState, snapshot: &Snapshot| -> Vec<_> {
            snapshot.iter().map(|node| plugin.filter(state, &pod, node).err()).collect()
        };
        let mut state = CycleState::default();
        plugin.pre_filter(&mut state, &pod, &snapshot);
        let (before, mut changed, mut done) = (verdicts(&state, &snapshot), snapshot.clone(), Vec::new());
        for (i, (n, comes, counts)) in trials.into_iter().enumerate() {
            let name = format!("n{n}");
            let there = changed.get(&name).unwrap().pods().first().cloned();
            let (other, comes) = match there.filter(|_| !comes) {
                Some(leaving) => (leaving, false),
                None => (Arc::new(app_pod(&format!("t{i}"), app(counts), json!([]))), true),
            };
            changed.update(&name, |info| if comes { info.add_pod(other.clone()) } else { drop(info.remove_pod(other.id())) });
            let now = changed.get(&name).unwrap().clone();
            if comes { plugin.add_pod(&mut state, &pod, &other, &now) } else { plugin.remove_pod(&mut state, &pod, &other, &now) }
            let fresh = verdicts_of(&PodTopologySpread::default(), &pod, &changed);
            let texts: Vec<_> = verdicts(&state, &changed).into_iter().map(|r| r.map(|r| r.reasons().join(", "))).collect();
            prop_assert_eq!(texts, fresh, "after trial {}", i);
            done.push((now, other, comes));
        }
        for (now, other, came) in done.into_iter().rev() {
            if came { plugin.remove_pod(&mut state, &pod, &other, &now) } else { plugin.add_pod(&mut state, &pod, &other, &now) }
        }
        prop_assert_eq!(verdicts(&state, &snapshot), before);
    }

    /// A plugin that remembers tells the same as one that sees the cluster for the first time, whatever happened in between.
    #[test]
    fn what_is_remembered_changes_no_verdict(
        steps in vec((0..10_usize, 0..10_usize, 0..4_usize, any::<bool>(), any::<bool>(), 1..3, 1..5), 1..80),
    ) {
        let zones = ["a", "b", "c", "d"];
        let remembering = PodTopologySpread::default();
        let mut snapshot = Snapshot::from_iter((0..8).map(|n| node(&format!("n{n}"), zones[n % 3], &[])));
        let mut placed: Vec<(String, String)> = Vec::new();
        for (round, (number, what, zone, counts, by_zone, skew, domains)) in steps.into_iter().enumerate() {
            let name = format!("n{number}");
            match what {
                0 => drop(snapshot.remove(&name)),
                1 => snapshot.insert(node(&name, zones[zone], &["web"])),
                2 | 3 if !placed.is_empty() => {
                    let (node, id) = placed.swap_remove(round % placed.len());
                    snapshot.update(&node, |info| info.remove_pod(&id));
                }
                _ => {
                    let (id, app) = (format!("p{round}"), if counts { "web" } else { "other" });
                    snapshot.update(&name, |info| info.add_pod(Arc::new(app_pod(&id, app, json!([])))));
                    placed.push((name, id));
                }
            }
            let key = if by_zone { "zone" } else { "kubernetes.io/hostname" };
            let pod = web(&[constraint(key, json!({"maxSkew": skew, "minDomains": domains}))]);
            let fresh = verdicts_of(&PodTopologySpread::default(), &pod, &snapshot);
            // A copy that goes another way leaves nothing behind.
            let mut aside = snapshot.clone();
            aside.update("n1", |info| info.add_pod(Arc::new(app_pod("aside", "web", json!([])))));
            verdicts_of(&remembering, &pod, &aside);
            prop_assert_eq!(verdicts_of(&remembering, &pod, &snapshot), fresh, "round {}", round);
        }
    }
}
