//! Decisions of the default profile.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::scheduler::{NodeInfo, Nomination, PodInfo, Rejection, ScheduleError, Scheduler, Snapshot};
use orchestra_sched::framework::{
    CycleState, ExtensionPoint, Filter, Framework, Plugin, PreFilter, PreFilterOutcome, Score,
};
use serde_json::{Value, json};

fn node(name: &str, changes: Value) -> NodeInfo {
    let mut node = json!({
        "metadata": { "name": name },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "10" } },
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        node[key] = value.clone();
    }
    NodeInfo::new(Arc::new(serde_json::from_value(node).unwrap()))
}

fn pod(spec: Value) -> PodInfo {
    let mut pod =
        json!({ "metadata": { "name": "p", "namespace": "default" }, "spec": { "containers": [{ "name": "c" }] } });
    for (key, value) in spec.as_object().into_iter().flatten() {
        pod["spec"][key] = value.clone();
    }
    serde_json::from_value::<Pod>(pod).unwrap().into()
}

fn requesting(cpu: &str) -> PodInfo {
    pod(json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] }))
}

/// A pod of this priority that stays off the hosts of others of its namespace.
fn shy(priority: i32) -> PodInfo {
    let term = json!({ "topologyKey": "kubernetes.io/hostname", "labelSelector": {} });
    let terms = json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] });
    pod(json!({ "priority": priority, "affinity": { "podAntiAffinity": terms } }))
}

/// A node that says which host it is.
fn hosting(name: &str) -> NodeInfo {
    node(name, json!({ "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } } }))
}

#[test]
fn the_message_is_kubernetes_word_for_word() {
    let mut taken = node("n1", json!({}));
    let on_port = pod(json!({ "containers": [{ "name": "c", "ports": [{ "containerPort": 80, "hostPort": 80 }] }] }));
    taken.add_pod(Arc::new(on_port.clone()));
    let mut occupied = hosting("n1");
    occupied.add_pod(Arc::new(shy(0)));
    let tail = "no new claims to deallocate, preemption: 0/1 nodes are available: 1";
    let cordoned = node("n1", json!({ "spec": { "unschedulable": true } }));
    for (pod, node, reason, outcome) in [
        (
            on_port,
            taken,
            "node(s) didn't have free ports for the requested pod ports",
            "No preemption victims found for incoming pod",
        ),
        (
            shy(0),
            occupied,
            "node(s) didn't match pod anti-affinity rules",
            "No preemption victims found for incoming pod",
        ),
        (
            pod(json!({ "nodeSelector": { "disk": "ssd" } })),
            node("n1", json!({})),
            "node(s) didn't match Pod's node affinity/selector",
            "Preemption is not helpful for scheduling",
        ),
        (requesting("100"), node("n1", json!({})), "Insufficient cpu", "Preemption is not helpful for scheduling"),
        (requesting("100"), cordoned, "node(s) were unschedulable", "Preemption is not helpful for scheduling"),
    ] {
        let error = Framework::kubernetes().schedule(&pod, &Snapshot::from_iter([node]), 0).unwrap_err();
        assert_eq!(error.to_string(), format!("0/1 nodes are available: 1 {reason}. {tail} {outcome}."));
    }
}

#[test]
fn preemption_knows_who_is_in_the_way_of_affinity() {
    let placed = |name: &str, priority: i32, other: PodInfo| {
        let mut other = (**other.pod()).clone();
        other.metadata.name = Some(name.to_owned());
        other.spec.get_or_insert_default().priority = Some(priority);
        let mut node = hosting("n1");
        node.add_pod(Arc::new(other.into()));
        Snapshot::from_iter([node])
    };
    let victims = |pod: &PodInfo, snapshot: &Snapshot| -> Vec<String> {
        match Framework::kubernetes().schedule(pod, snapshot, 0) {
            Err(ScheduleError::Unschedulable(why)) => match why.nomination() {
                Nomination::For { victims, .. } => {
                    victims.iter().map(|victim| victim.key().name().to_owned()).collect()
                }
                _ => Vec::new(),
            },
            other => panic!("{other:?}"),
        }
    };
    let plain = || pod(json!({}));
    assert_eq!(victims(&shy(10), &placed("less", 5, plain())), ["less"], "the pod's own anti-affinity");
    assert!(victims(&shy(10), &placed("more", 50, plain())).is_empty());
    let important = pod(json!({ "priority": 10 }));
    assert_eq!(victims(&important, &placed("less", 5, shy(0))), ["less"], "the anti-affinity of the pod that is there");
    // Nobody can be near a pod that is not there.
    let near = json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
        { "topologyKey": "kubernetes.io/hostname", "labelSelector": { "matchLabels": { "app": "db" } } }] } });
    let lonely = pod(json!({ "priority": 10, "affinity": near }));
    assert!(victims(&lonely, &placed("less", 5, plain())).is_empty());
}

#[test]
fn every_rejected_node_has_its_reason() {
    let tainted = json!({ "taints": [{ "key": "k", "effect": "NoSchedule" }] });
    let nodes = [node("a", json!({ "spec": tainted })), node("b", json!({})), node("c", json!({}))];
    let error = Framework::kubernetes().schedule(&requesting("5"), &Snapshot::from_iter(nodes), 0).unwrap_err();
    let ScheduleError::Unschedulable(diagnosis) = error else { panic!("{error}") };
    assert!(
        diagnosis
            .to_string()
            .starts_with("0/3 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu. ")
    );
    assert_eq!(diagnosis.rejection("a").unwrap().plugin(), "TaintToleration");
    assert_eq!(diagnosis.rejection("c").unwrap().reasons(), ["Insufficient cpu"]);
}

#[test]
fn nodes_that_affinity_does_not_name_are_not_looked_at() {
    let names_b = json!({ "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["b"] }] }] } } } });
    let cordoned = node("b", json!({ "spec": { "unschedulable": true } }));
    let snapshot = Snapshot::from_iter([node("a", json!({})), cordoned, node("c", json!({}))]);
    let error = Framework::kubernetes().schedule(&pod(names_b), &snapshot, 0).unwrap_err();
    assert!(error.to_string().starts_with(
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
    ));
}

#[test]
fn the_emptiest_node_wins() {
    let mut busy = node("a", json!({}));
    busy.add_pod(Arc::new(requesting("2")));
    let snapshot = Snapshot::from_iter([busy, node("b", json!({}))]);
    for seed in 0..20 {
        assert_eq!(&*Framework::kubernetes().schedule(&requesting("1"), &snapshot, seed).unwrap().node, "b");
    }
}

#[test]
fn ties_are_broken_by_the_seed_alone() {
    let snapshot = Snapshot::from_iter((0..8).map(|i| node(&format!("n{i}"), json!({}))));
    let choose = |seed| Framework::kubernetes().schedule(&requesting("1"), &snapshot, seed).unwrap();
    assert!((0..50).all(|seed| choose(seed) == choose(seed)));
    let chosen: BTreeSet<_> = (0..200).map(|seed| choose(seed).node).collect();
    assert_eq!(chosen.len(), 8);
}

#[test]
fn large_clusters_are_sampled() {
    let snapshot = Snapshot::from_iter((0..1000).map(|i| node(&format!("n{i:04}"), json!({}))));
    let placement = Framework::kubernetes().schedule(&requesting("1"), &snapshot, 3).unwrap();
    assert_eq!((placement.evaluated_nodes, placement.feasible_nodes), (420, 420));
    let all = Framework::builder().default_plugins().percentage_of_nodes_to_score(100).build();
    assert_eq!(all.schedule(&requesting("1"), &snapshot, 3).unwrap().feasible_nodes, 1000);
}

/// Likes nodes by the length of their names, and knows one that it does not want.
struct Names;

impl Plugin for Names {
    fn name(&self) -> &'static str {
        "Names"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl PreFilter for Names {
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        state.write("bad".to_owned());
        match pod.priority() {
            1 => PreFilterOutcome::Skip,
            2 => PreFilterOutcome::Reject(Rejection::new("not today")),
            3 => PreFilterOutcome::Fail("no idea".to_owned()),
            _ => PreFilterOutcome::Continue,
        }
    }
}

impl Filter for Names {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let bad = state.read::<String>().unwrap();
        if **node.name() == **bad { Err(Rejection::new("node(s) have a bad name")) } else { Ok(()) }
    }
}

impl Score for Names {
    fn score(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        node.name().len() as i64
    }
}

#[test]
fn an_own_plugin_takes_part() {
    let framework = Framework::builder().plugin(Names).build();
    let snapshot = Snapshot::from_iter([node("a", json!({})), node("bad", json!({})), node("bb", json!({}))]);
    let schedule = |priority: i32| framework.schedule(&pod(json!({ "priority": priority })), &snapshot, 0);
    assert_eq!(&*schedule(0).unwrap().node, "bb", "the longest name but for the bad one");
    assert_eq!(&*schedule(1).unwrap().node, "bad", "a skipped plugin does not filter, but scores");
    assert_eq!(schedule(2).unwrap_err().to_string(), "0/3 nodes are available: not today.");
    assert_eq!(schedule(3).unwrap_err().to_string(), "running PreFilter plugin \"Names\": no idea");
}

#[test]
fn a_plugin_can_be_left_out_or_weighted() {
    let cordoned = Snapshot::from_iter([node("a", json!({ "spec": { "unschedulable": true } }))]);
    let lenient = Framework::builder().default_plugins().without("NodeUnschedulable").build();
    assert!(lenient.schedule(&requesting("1"), &cordoned, 0).is_ok());

    let mut busy = node("long-name", json!({}));
    busy.add_pod(Arc::new(requesting("2")));
    let snapshot = Snapshot::from_iter([busy, node("b", json!({}))]);
    let weighted = Framework::builder().default_plugins().plugin(Names).weight("Names", 1000).build();
    assert_eq!(&*weighted.schedule(&requesting("1"), &snapshot, 0).unwrap().node, "long-name");
}

/// A pod of this priority whose container asks for `cpu`, as it is known by `name`.
fn of_priority(name: &str, priority: i32, cpu: &str) -> PodInfo {
    let pod = json!({
        "metadata": { "name": name, "namespace": "default", "uid": name },
        "spec": { "priority": priority,
                  "containers": [{ "name": "c", "resources": { "requests": { "cpu": cpu } } }] },
    });
    serde_json::from_value::<Pod>(pod).unwrap().into()
}

#[test]
fn room_that_was_promised_is_kept_from_pods_that_are_no_more_important() {
    let mut snapshot = Snapshot::from_iter([node("a", json!({}))]);
    snapshot.nominations_mut().nominate(Arc::new(of_priority("waiting", 5, "3")), "a".into());
    let takes = |pod: &PodInfo| Framework::kubernetes().schedule(pod, &snapshot, 0).is_ok();
    assert!(!takes(&of_priority("p", 4, "2")));
    assert!(!takes(&of_priority("p", 5, "2")), "it came first");
    assert!(takes(&of_priority("p", 6, "2")));
    assert!(takes(&of_priority("p", 4, "1")), "there is room for both");
    assert!(takes(&of_priority("waiting", 5, "3")), "a pod is not kept from its own room");
}

#[test]
fn the_node_that_a_pod_waits_for_is_tried_first() {
    let mut busy = node("b", json!({}));
    busy.add_pod(Arc::new(requesting("2")));
    let full = node("c", json!({ "status": {} }));
    let mut snapshot = Snapshot::from_iter([node("a", json!({})), busy, full]);
    let schedule =
        |snapshot: &Snapshot| Framework::kubernetes().schedule(&of_priority("p", 0, "1"), snapshot, 0).unwrap();
    assert_eq!(&*schedule(&snapshot).node, "a");
    for (node, expected) in [("b", "b"), ("c", "a"), ("gone", "a")] {
        snapshot.nominations_mut().nominate(Arc::new(of_priority("p", 0, "1")), node.into());
        assert_eq!(&*schedule(&snapshot).node, expected, "waiting for {node}");
    }
}

/// Takes one pod a node, by what it keeps of the pods, not by looking at the node.
struct One;

struct Counts(BTreeMap<String, usize>);

impl Plugin for One {
    fn name(&self) -> &'static str {
        "One"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl PreFilter for One {
    fn pre_filter(&self, state: &mut CycleState, _: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        state.write(Counts(snapshot.iter().map(|node| (node.name().to_string(), node.pods().len())).collect()));
        PreFilterOutcome::Continue
    }

    fn add_pod(&self, state: &mut CycleState, _: &PodInfo, _: &PodInfo, node: &NodeInfo) {
        *state.read_mut::<Counts>().unwrap().0.get_mut(&**node.name()).unwrap() += 1;
    }

    fn remove_pod(&self, state: &mut CycleState, _: &PodInfo, _: &PodInfo, node: &NodeInfo) {
        *state.read_mut::<Counts>().unwrap().0.get_mut(&**node.name()).unwrap() -= 1;
    }
}

impl Filter for One {
    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let counts = state.read::<Counts>().unwrap();
        if counts.0[&**node.name()] > 0 { Err(Rejection::new("node(s) had a pod")) } else { Ok(()) }
    }
}

#[test]
fn plugins_are_told_of_the_pods_that_wait_for_a_node() {
    let framework = Framework::builder().plugin(One).build();
    let mut snapshot = Snapshot::from_iter([node("a", json!({})), node("b", json!({}))]);
    snapshot.nominations_mut().nominate(Arc::new(of_priority("waiting", 5, "1")), "a".into());
    for seed in 0..10 {
        assert_eq!(&*framework.schedule(&of_priority("p", 0, "1"), &snapshot, seed).unwrap().node, "b");
    }
    snapshot.nominations_mut().nominate(Arc::new(of_priority("other", 5, "1")), "b".into());
    let error = framework.schedule(&of_priority("p", 0, "1"), &snapshot, 0).unwrap_err();
    assert_eq!(error.to_string(), "0/2 nodes are available: 2 node(s) had a pod.");
}

#[test]
fn only_a_profile_with_the_plugin_has_gangs() {
    let member = pod(json!({ "schedulingGroup": { "podGroupName": "g" } }));
    let group = |framework: Framework| framework.group(&member).map(|group| group.to_string());
    assert_eq!(group(Framework::kubernetes()).as_deref(), Some("default/g"));
    let builder = || Framework::builder().default_plugins();
    assert_eq!(group(builder().without("GangScheduling").build()), None);
    assert_eq!(group(builder().order(ExtensionPoint::PreEnqueue, ["SchedulingGates"]).build()), None);
}
