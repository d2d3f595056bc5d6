use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::scheduler::{NodeInfo, ScheduleError, Scheduler};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{super::testing, *};
use crate::framework::Framework;

/// A pod of this priority whose container asks for `cpu`; `changes` are made to it.
fn pod(name: &str, priority: i32, cpu: &str, changes: Value) -> Arc<PodInfo> {
    let mut pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "priority": priority, "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] },
    });
    testing::merge(&mut pod, changes);
    Arc::new(serde_json::from_value::<Pod>(pod).unwrap().into())
}

/// Who has 4 CPUs, with these pods.
fn node(name: &str, pods: &[Arc<PodInfo>]) -> NodeInfo {
    let mut node = testing::node(json!({ "metadata": { "name": name, "labels": { "zone": name } } }));
    for pod in pods {
        node.add_pod(pod.clone());
    }
    node
}

/// What comes of an attempt to place a pod that fits nowhere.
fn attempt_with(plugin: DefaultPreemption, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Box<Diagnosis> {
    let framework = Framework::builder().default_plugins().without("DynamicResources").plugin(plugin).build();
    match framework.schedule(pod, snapshot, seed) {
        Err(ScheduleError::Unschedulable(diagnosis)) => diagnosis,
        other => panic!("{other:?}"),
    }
}

fn attempt(pod: &PodInfo, snapshot: &Snapshot) -> Box<Diagnosis> {
    attempt_with(DefaultPreemption::default(), pod, snapshot, 0)
}

/// The node and the victims, if there are any.
fn chosen(pod: &PodInfo, snapshot: &Snapshot) -> Option<(String, Vec<String>)> {
    match attempt(pod, snapshot).nomination() {
        Nomination::For { node, victims } => {
            Some((node.to_string(), victims.iter().map(|pod| pod.key().name().to_owned()).collect()))
        }
        _ => None,
    }
}

#[track_caller]
fn assert_chosen(pod: &PodInfo, snapshot: &Snapshot, node: &str, victims: &[&str]) {
    let victims = victims.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(chosen(pod, snapshot), Some((node.to_owned(), victims)));
}

fn started(second: u8) -> Value {
    json!({ "status": { "startTime": format!("2026-01-01T00:00:{second:02}Z") } })
}

#[test]
fn the_least_important_pods_go_and_no_more_than_have_to() {
    let pods = [pod("low", 1, "1", json!({})), pod("mid", 5, "1", json!({})), pod("high", 50, "2", json!({}))];
    let snapshot = Snapshot::from_iter([node("n1", &pods)]);
    assert_chosen(&pod("p", 10, "1", json!({})), &snapshot, "n1", &["low"]);
    assert_chosen(&pod("p", 10, "2", json!({})), &snapshot, "n1", &["mid", "low"]);
    assert_chosen(&pod("p", 100, "2", json!({})), &snapshot, "n1", &["mid", "low"]);
    assert_eq!(chosen(&pod("p", 10, "3", json!({})), &snapshot), None);
}

#[test]
fn of_equals_the_one_that_ran_for_the_shorter_time_goes() {
    let pods = [pod("old", 1, "2", started(1)), pod("new", 1, "2", started(2))];
    assert_chosen(&pod("p", 2, "1", json!({})), &Snapshot::from_iter([node("n1", &pods)]), "n1", &["new"]);
    let pods = [pod("starting", 1, "2", json!({})), pod("new", 1, "2", started(2))];
    assert_chosen(&pod("p", 2, "1", json!({})), &Snapshot::from_iter([node("n1", &pods)]), "n1", &["starting"]);
}

#[test]
fn a_success_adds_nothing_to_the_message() {
    let snapshot = Snapshot::from_iter([node("n1", &[pod("low", 1, "4", json!({}))])]);
    let diagnosis = attempt(&pod("p", 2, "1", json!({})), &snapshot);
    assert_eq!(diagnosis.to_string(), "0/1 nodes are available: 1 Insufficient cpu.");
}

#[test]
fn what_cannot_help_is_said_in_kubernetes_words_and_the_pod_waits_for_no_node() {
    let full = node("n1", &[pod("same", 5, "4", json!({}))]);
    let crowded = node("n2", &[pod("higher", 6, "3", json!({})), pod("low", 1, "1", json!({}))]);
    let cordoned = testing::node(json!({ "metadata": { "name": "n3" }, "spec": { "unschedulable": true } }));
    let snapshot = Snapshot::from_iter([full, crowded, cordoned]);
    let diagnosis = attempt(&pod("p", 5, "2", json!({})), &snapshot);
    assert_eq!(
        diagnosis.to_string(),
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/3 nodes are available: \
         1 Insufficient cpu, 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    );
    assert_eq!(*diagnosis.nomination(), Nomination::None);
    let diagnosis = attempt(&pod("p", 5, "20", json!({})), &snapshot);
    assert!(
        diagnosis
            .to_string()
            .ends_with(" preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.")
    );
}

#[test]
fn a_pod_that_must_not_preempt_does_not_and_waits_for_the_node_that_it_waited_for() {
    let snapshot = Snapshot::from_iter([node("n1", &[pod("low", 1, "4", json!({}))])]);
    let never = pod("p", 2, "1", json!({ "spec": { "preemptionPolicy": "Never" } }));
    let diagnosis = attempt(&never, &snapshot);
    assert!(
        diagnosis.to_string().ends_with("1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.")
    );
    assert_eq!(*diagnosis.nomination(), Nomination::Kept);
}

fn going(reason: &str) -> Value {
    let condition = json!({ "type": "DisruptionTarget", "status": "True", "reason": reason });
    json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" }, "status": { "conditions": [condition] } })
}

#[test]
fn while_a_victim_goes_from_the_nominated_node_no_others_are_taken() {
    let waiting = pod("p", 5, "4", json!({ "status": { "nominatedNodeName": "n1" } }));
    let cluster = |going: &Arc<PodInfo>| {
        Snapshot::from_iter([node("n1", std::slice::from_ref(going)), node("n2", &[pod("low", 1, "4", json!({}))])])
    };
    let diagnosis = attempt(&waiting, &cluster(&pod("v", 2, "4", going("PreemptionByScheduler"))));
    assert!(
        diagnosis
            .to_string()
            .ends_with("2 Insufficient cpu. preemption: not eligible due to a terminating pod on the nominated node.")
    );
    assert_eq!(*diagnosis.nomination(), Nomination::Kept);
    // Who goes for other reasons, is as important, or goes elsewhere, is nothing to wait for.
    assert!(chosen(&waiting, &cluster(&pod("v", 2, "4", going("EvictionByEvictionAPI")))).is_some());
    assert!(chosen(&waiting, &cluster(&pod("v", 5, "4", going("PreemptionByScheduler")))).is_some());
    let elsewhere = pod("p", 5, "4", json!({ "status": { "nominatedNodeName": "n2" } }));
    assert!(chosen(&elsewhere, &cluster(&pod("v", 2, "4", going("PreemptionByScheduler")))).is_some());
}

#[test]
fn a_nominated_node_that_cannot_take_the_pod_any_more_is_given_up() {
    let mut snapshot = Snapshot::from_iter([node("n2", &[pod("low", 1, "4", json!({}))])]);
    let mut cordoned = testing::node(json!({ "metadata": { "name": "n1" }, "spec": { "unschedulable": true } }));
    cordoned.add_pod(pod("v", 2, "4", going("PreemptionByScheduler")));
    snapshot.insert(cordoned);
    let waiting = pod("p", 5, "4", json!({ "status": { "nominatedNodeName": "n1" } }));
    assert_chosen(&waiting, &snapshot, "n2", &["low"]);
    snapshot.remove("n1");
    assert_chosen(&waiting, &snapshot, "n2", &["low"]);
}

#[test]
fn the_node_is_taken_where_the_least_is_lost() {
    let p = |name: &str, priority: i32, cpu: &str| pod(name, priority, cpu, json!({}));
    let preemptor = pod("p", 100, "4", json!({}));
    for (rule, worse, better) in [
        ("the lowest highest priority", vec![p("a", 6, "4")], vec![p("b", 5, "2"), p("c", 5, "2")]),
        ("the smallest sum", vec![p("a", 5, "2"), p("b", 4, "2")], vec![p("c", 5, "2"), p("d", 3, "2")]),
        (
            "fewer pods, though the sum of negative priorities is less with more",
            vec![p("a", -5, "2"), p("b", -5, "2")],
            vec![p("c", -5, "4")],
        ),
        (
            "the latest start of the most important",
            vec![pod("a", 5, "2", started(1)), pod("b", 1, "2", started(9))],
            vec![pod("c", 5, "2", started(2)), pod("d", 1, "2", started(1))],
        ),
        (
            "the earliest of several that are the most important counts",
            vec![pod("a", 5, "2", started(1)), pod("b", 5, "2", started(9))],
            vec![pod("c", 5, "2", started(3)), pod("d", 5, "2", started(2))],
        ),
    ] {
        for (worse_on, better_on) in [("n1", "n2"), ("n2", "n1")] {
            let snapshot = Snapshot::from_iter([node(worse_on, &worse), node(better_on, &better)]);
            assert_eq!(chosen(&preemptor, &snapshot).map(|(node, _)| node).as_deref(), Some(better_on), "{rule}");
        }
    }
}

/// A budget for the pods labelled `app: guarded` that lets so many go.
fn budget(allowed: i32, changes: Value) -> Arc<PodDisruptionBudget> {
    let mut budget = json!({
        "metadata": { "name": "b", "namespace": "default" },
        "spec": { "selector": { "matchLabels": { "app": "guarded" } } },
        "status": { "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1 },
    });
    testing::merge(&mut budget, changes);
    Arc::new(serde_json::from_value(budget).unwrap())
}

fn guarded(name: &str, priority: i32, cpu: &str) -> Arc<PodInfo> {
    pod(name, priority, cpu, json!({ "metadata": { "labels": { "app": "guarded" } } }))
}

#[test]
fn what_a_budget_protects_goes_last_and_only_if_it_has_to() {
    let preemptor = pod("p", 100, "2", json!({}));
    let pods = [guarded("guarded", 1, "2"), pod("free", 50, "2", json!({}))];
    let mut snapshot = Snapshot::from_iter([node("n1", &pods)]);
    assert_chosen(&preemptor, &snapshot, "n1", &["guarded"]);
    snapshot.objects_mut().set(budget(0, json!({})));
    assert_chosen(&preemptor, &snapshot, "n1", &["free"]);
    assert_chosen(&pod("p", 100, "4", json!({})), &snapshot, "n1", &["free", "guarded"]);
    // Another node where nothing is protected is better, whatever the priorities.
    snapshot.insert(node("n2", &[pod("precious", 99, "4", json!({}))]));
    assert_chosen(&pod("p", 100, "4", json!({})), &snapshot, "n2", &["precious"]);
}

#[test]
fn a_budget_lets_as_many_go_as_it_allows() {
    let pods = [guarded("g1", 3, "1"), guarded("g2", 2, "1"), guarded("g3", 1, "1"), pod("free", 4, "1", json!({}))];
    let with = |allowed: i32| {
        let mut snapshot = Snapshot::from_iter([node("n1", &pods)]);
        snapshot.objects_mut().set(budget(allowed, json!({})));
        snapshot
    };
    let preemptor = pod("p", 9, "2", json!({}));
    // The most important are counted first: what is left of the budget is theirs.
    assert_chosen(&preemptor, &with(0), "n1", &["free", "g3"]);
    assert_chosen(&preemptor, &with(1), "n1", &["free", "g1"]);
    assert_chosen(&preemptor, &with(2), "n1", &["g1", "g2"]);
    assert_chosen(&preemptor, &with(3), "n1", &["g2", "g3"]);
}

#[test]
fn budgets_that_do_not_concern_a_pod_do_not_protect_it() {
    let pods = [guarded("guarded", 1, "2"), pod("free", 50, "2", json!({}))];
    for (what, budget) in [
        ("of another namespace", budget(0, json!({ "metadata": { "namespace": "other" } }))),
        ("of other pods", budget(0, json!({ "spec": { "selector": { "matchLabels": { "app": "other" } } } }))),
        ("of everything", budget(0, json!({ "spec": { "selector": { "matchLabels": null } } }))),
        ("of nothing", budget(0, json!({ "spec": { "selector": null } }))),
        (
            "with an invalid selector",
            budget(
                0,
                json!({ "spec": { "selector": { "matchExpressions": [{ "key": "app", "operator": "Near" }] } } }),
            ),
        ),
        (
            "that has let the pod go",
            budget(0, json!({ "status": { "disruptedPods": { "guarded": "2026-01-01T00:00:00Z" } } })),
        ),
    ] {
        let mut snapshot = Snapshot::from_iter([node("n1", &pods)]);
        snapshot.objects_mut().set(budget);
        let preemptor = pod("p", 100, "2", json!({}));
        assert_eq!(
            chosen(&preemptor, &snapshot),
            Some(("n1".to_owned(), vec!["guarded".to_owned()])),
            "a budget {what}"
        );
    }
}

#[test]
fn room_that_was_promised_to_others_is_not_counted() {
    let mut snapshot = Snapshot::from_iter([
        node("n1", &[pod("a", 1, "2", json!({})), pod("b", 2, "2", json!({}))]),
        node("n2", &[pod("c", 3, "4", json!({}))]),
    ]);
    let preemptor = pod("p", 9, "2", json!({}));
    assert_chosen(&preemptor, &snapshot, "n1", &["a"]);
    snapshot.nominations_mut().nominate(pod("first", 9, "2", json!({})), "n1".into());
    assert_chosen(&preemptor, &snapshot, "n1", &["b", "a"]);
    snapshot.nominations_mut().nominate(pod("first", 9, "4", json!({})), "n1".into());
    assert_chosen(&preemptor, &snapshot, "n2", &["c"]);
    snapshot.nominations_mut().nominate(pod("first", 8, "4", json!({})), "n1".into());
    assert_chosen(&preemptor, &snapshot, "n1", &["a"]);
}

#[test]
fn pods_go_for_other_things_than_room() {
    // Zone n1 has two pods of the app, n2 one; only in n1 does the pod have a port.
    let web =
        |name: &str, priority: i32| pod(name, priority, "100m", json!({ "metadata": { "labels": { "app": "web" } } }));
    let port = json!([{ "containerPort": 80, "hostPort": 80 }]);
    let taker = pod("taker", 1, "100m", json!({ "spec": { "containers": [{ "name": "c", "ports": port }] } }));
    let nodes = [node("n1", &[web("w1", 3), web("w2", 2)]), node("n2", &[web("w3", 4), taker])];
    let spread = json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "web" } } }]);
    let spec = json!({ "topologySpreadConstraints": spread, "containers": [{ "name": "c", "ports": port }] });
    let preemptor = pod("p", 9, "100m", json!({ "metadata": { "labels": { "app": "web" } }, "spec": spec }));
    let snapshot = Snapshot::from_iter(nodes.clone());
    assert_chosen(&preemptor, &snapshot, "n2", &["taker"]);
    let mut only_first = snapshot.clone();
    only_first.update("n2", |node| {
        node.add_pod(pod("fixed", 10, "100m", json!({ "spec": { "containers": [{ "name": "c", "ports": port }] } })))
    });
    assert_chosen(&preemptor, &only_first, "n1", &["w2"]);
}

#[test]
fn many_nodes_are_sampled_beginning_where_the_seed_says() {
    let snapshot =
        Snapshot::from_iter((0..10).map(|i| node(&format!("n{i}"), &[pod(&format!("v{i}"), 10 - i, "4", json!({}))])));
    let preemptor = pod("p", 100, "4", json!({}));
    let plugin = |percentage: i32, absolute: i32| {
        let (min_candidate_nodes_percentage, min_candidate_nodes_absolute) = (percentage, absolute);
        DefaultPreemption::new(DefaultPreemptionArgs { min_candidate_nodes_percentage, min_candidate_nodes_absolute })
            .unwrap()
    };
    let node_of = |plugin, seed| match attempt_with(plugin, &preemptor, &snapshot, seed).nomination() {
        Nomination::For { node, .. } => node.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(node_of(DefaultPreemption::default(), 0), "n9", "a hundred nodes are looked at in any case");
    assert_eq!(node_of(plugin(10, 1), 0), "n0");
    assert_eq!(node_of(plugin(10, 3), 0), "n2");
    assert_eq!(node_of(plugin(50, 1), 0), "n4");
    let all: std::collections::BTreeSet<_> = (0..20).map(|seed| node_of(plugin(10, 1), seed)).collect();
    assert_eq!(all.len(), 10);
}

#[test]
fn while_all_candidates_violate_budgets_others_are_looked_for() {
    let mut nodes: Vec<NodeInfo> =
        (0..9).map(|i| node(&format!("n{i}"), &[guarded(&format!("g{i}"), 1, "4")])).collect();
    nodes.push(node("n9", &[pod("free", 5, "4", json!({}))]));
    let mut snapshot = Snapshot::from_iter(nodes);
    snapshot.objects_mut().set(budget(0, json!({})));
    let args = DefaultPreemptionArgs { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 1 };
    let diagnosis = attempt_with(DefaultPreemption::new(args).unwrap(), &pod("p", 9, "4", json!({})), &snapshot, 0);
    assert!(matches!(diagnosis.nomination(), Nomination::For { node, .. } if &**node == "n9"));
}

#[test]
fn arguments_are_refused_in_kubernetes_words() {
    let refused = |args: Value| DefaultPreemption::new(serde_json::from_value(args).unwrap()).err();
    assert_eq!(refused(json!({})), None);
    assert_eq!(refused(json!({ "minCandidateNodesPercentage": 0 })), None);
    assert_eq!(refused(json!({ "minCandidateNodesPercentage": 100, "minCandidateNodesAbsolute": 0 })), None);
    for (args, expected) in [
        (
            json!({ "minCandidateNodesPercentage": -1 }),
            "minCandidateNodesPercentage: Invalid value: -1: not in valid range [0, 100]",
        ),
        (
            json!({ "minCandidateNodesPercentage": 101 }),
            "minCandidateNodesPercentage: Invalid value: 101: not in valid range [0, 100]",
        ),
        (
            json!({ "minCandidateNodesAbsolute": -1 }),
            "minCandidateNodesAbsolute: Invalid value: -1: not in valid range [0, inf)",
        ),
        (
            json!({ "minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0 }),
            "[minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute, \
             minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as minCandidateNodesPercentage]",
        ),
    ] {
        assert_eq!(refused(args).as_deref(), Some(expected));
    }
    assert!(serde_json::from_value::<DefaultPreemptionArgs>(json!({ "minCandidates": 1 })).is_err());
}

/// A pod by some numbers: with or without a label, a port and a constraint.
fn any_pod(name: &str, (priority, cpu, kind): (i32, u8, u8)) -> Arc<PodInfo> {
    let labels = if kind & 1 == 0 { json!({ "app": "web" }) } else { json!({ "app": "guarded" }) };
    let ports = if kind & 6 == 6 { json!([{ "containerPort": 80, "hostPort": 80 }]) } else { json!([]) };
    let spread = json!([{ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": { "matchLabels": { "app": "web" } } }]);
    let requests = json!({ "requests": { "cpu": cpu.to_string() } });
    let spec = json!({ "containers": [{ "name": "c", "ports": ports, "resources": requests }],
        "topologySpreadConstraints": if kind & 8 == 0 { spread } else { json!([]) } });
    pod(name, priority, "0", json!({ "metadata": { "labels": labels }, "spec": spec }))
}

/// Whether the pod would go to `node`, were it promised to it.
fn fits(pod: &Arc<PodInfo>, snapshot: &Snapshot, node: &str) -> bool {
    let mut snapshot = snapshot.clone();
    snapshot.nominations_mut().nominate(pod.clone(), node.into());
    Framework::kubernetes().schedule(pod, &snapshot, 0).is_ok_and(|placement| *placement.node == *node)
}

/// The cluster after these pods have gone from `node`.
fn without<'a>(snapshot: &Snapshot, node: &str, gone: impl Iterator<Item = &'a Arc<PodInfo>>) -> Snapshot {
    let mut rest = snapshot.clone();
    rest.update(node, |info| gone.for_each(|pod| drop(info.remove_pod(pod.id()))));
    rest
}

fn any_numbers() -> impl Strategy<Value = (i32, u8, u8)> {
    (-2..4, 0..4_u8, any::<u8>())
}

proptest! {
    #[test]
    fn what_goes_makes_room_and_nothing_goes_for_nothing(
        placed in vec((0..4_usize, any_numbers()), 0..16),
        waiting in vec((0..4_usize, any_numbers()), 0..3),
        preemptor in any_numbers(), allowed in 0..3, seed: u64,
    ) {
        let mut nodes: Vec<Vec<Arc<PodInfo>>> = vec![Vec::new(); 4];
        for (i, (n, numbers)) in placed.into_iter().enumerate() {
            nodes[n].push(any_pod(&format!("p{i}"), numbers));
        }
        let nodes = nodes.iter().enumerate().map(|(n, pods)| node(&format!("n{n}"), pods));
        let mut snapshot = Snapshot::from_iter(nodes);
        snapshot.objects_mut().set(budget(allowed, json!({})));
        for (i, (n, numbers)) in waiting.into_iter().enumerate() {
            snapshot.nominations_mut().nominate(any_pod(&format!("w{i}"), numbers), format!("n{n}").into());
        }
        let pod = any_pod("p", preemptor);
        let Err(ScheduleError::Unschedulable(diagnosis)) = Framework::kubernetes().schedule(&pod, &snapshot, seed) else {
            return Ok(());
        };
        let lower = |other: &&Arc<PodInfo>| other.priority() < pod.priority();
        match diagnosis.nomination() {
            Nomination::For { node, victims } => {
                prop_assert!(!victims.is_empty() && victims.iter().all(|victim| lower(&victim)));
                prop_assert!(fits(&pod, &without(&snapshot, node, victims.iter()), node));
                for spared in victims {
                    let others = victims.iter().filter(|victim| victim.id() != spared.id());
                    prop_assert!(!fits(&pod, &without(&snapshot, node, others), node), "{} goes for nothing", spared.key());
                }
            }
            _ => for node in snapshot.iter() {
                let rest = without(&snapshot, node.name(), node.pods().iter().filter(lower));
                prop_assert!(!fits(&pod, &rest, node.name()), "{} could have been made to fit", node.name());
            },
        }
    }
}
