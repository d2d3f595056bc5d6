//! What [`Framework::explain`] says, and how it reads.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection, Scheduler, Snapshot};
use orchestra_sched::{
    explain::{Explanation, Verdict},
    framework::{CycleState, Filter, Framework, Plugin, PreFilter, PreFilterOutcome},
    testing::{NodeBuilder, PodBuilder, TestCluster, node, pod},
};
use proptest::prelude::*;

fn explain(pod: PodBuilder, nodes: impl IntoIterator<Item = NodeBuilder>) -> Explanation {
    Framework::kubernetes().explain(&pod.info(), &nodes.into_iter().map(NodeBuilder::info).collect())
}

fn verdict<'a>(explanation: &'a Explanation, node: &str, plugin: &str) -> &'a Verdict {
    let verdicts = &explanation.node(node).unwrap().verdicts;
    &verdicts.iter().find(|verdict| verdict.plugin == plugin).unwrap().verdict
}

#[test]
fn every_plugin_has_its_say_about_a_node() {
    let bad = node("n1").cpu(1).cordoned().taint("k=v:NoSchedule");
    let explanation = explain(pod("p").cpu(2).node_selector("disk", "ssd"), [bad]);
    let expected = [
        ("NodeUnschedulable", "node(s) were unschedulable"),
        ("TaintToleration", "node(s) had untolerated taint(s)"),
        ("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"),
        ("NodeResourcesFit", "Insufficient cpu"),
    ];
    let said = explanation.node("n1").unwrap().rejections();
    assert_eq!(said.map(|r| (r.plugin.as_str(), r.verdict.reasons()[0])).collect::<Vec<_>>(), expected);
    assert!(explanation.message.unwrap().starts_with("0/1 nodes are available: 1 node(s) were unschedulable."));
}

#[test]
fn a_plugin_with_nothing_to_look_at_says_so() {
    let explanation = explain(pod("p"), [node("n1")]);
    assert_eq!(verdict(&explanation, "n1", "NodePorts"), &Verdict::Skips);
    assert_eq!(verdict(&explanation, "n1", "NodeResourcesFit"), &Verdict::Accepts);
    assert_eq!(explanation.message, None);
}

#[test]
fn nodes_that_the_pod_does_not_name_are_explained_all_the_same() {
    let named = pod("p").cpu(2).with(|pod| {
        let term = serde_json::from_value(serde_json::json!({ "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{ "matchFields": [
                { "key": "metadata.name", "operator": "In", "values": ["n1"] }] }] } } }));
        pod.spec.as_mut().unwrap().affinity = term.unwrap();
    });
    let explanation = explain(named, [node("n1"), node("n2").cpu(1)]);
    assert_eq!(explanation.feasible().collect::<Vec<_>>(), ["n1"]);
    assert_eq!(verdict(&explanation, "n2", "NodeAffinity"), &Verdict::Excludes);
    assert_eq!(verdict(&explanation, "n2", "NodeResourcesFit").reasons(), ["Insufficient cpu"]);
}

#[test]
fn pods_that_wait_for_room_on_a_node_count() {
    let mut nodes = Snapshot::from_iter([node("n1").cpu(4).info(), node("n2").cpu(4).info()]);
    let waiting = pod("waiting").cpu(3).host_port(80).priority(5);
    nodes.nominations_mut().nominate(Arc::new(waiting.info()), "n1".into());
    let of_priority = |priority| pod("p").cpu(2).host_port(80).priority(priority).info();
    let below = Framework::kubernetes().explain(&of_priority(4), &nodes);
    assert_eq!(below.feasible().collect::<Vec<_>>(), ["n2"]);
    assert_eq!(verdict(&below, "n1", "NodeResourcesFit").reasons(), ["Insufficient cpu"]);
    assert!(!verdict(&below, "n1", "NodePorts").is_favourable());
    let above = Framework::kubernetes().explain(&of_priority(6), &nodes);
    assert_eq!(above.feasible().count(), 2, "less important ones may lose what they were promised");
}

#[test]
fn heavy_weights_are_counted_to_the_end_and_no_further() {
    let nodes = Snapshot::from_iter(["n1", "n2"].map(|name| node(name).cpu(4).info()));
    let scorers = ["NodeResourcesFit", "NodeResourcesBalancedAllocation", "TaintToleration"];
    let builder = Framework::builder().default_plugins();
    let scheduler = scorers.iter().fold(builder, |builder, name| builder.weight(name, i64::MAX)).build();
    let pod = pod("p").cpu(2).info();
    let placement = scheduler.schedule(&pod, &nodes, 0).unwrap();
    let explanation = scheduler.explain(&pod, &nodes);
    assert_eq!((placement.score, explanation.best()[0].total), (i64::MAX, Some(i64::MAX)));
}

/// Rejects every pod as such, or cannot tell.
struct Grumpy(PreFilterOutcome);

impl Plugin for Grumpy {
    fn name(&self) -> &'static str {
        "Grumpy"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }
}

impl PreFilter for Grumpy {
    fn pre_filter(&self, _: &mut CycleState, _: &PodInfo, _: &Snapshot) -> PreFilterOutcome {
        self.0.clone()
    }
}

impl Filter for Grumpy {
    fn filter(&self, _: &CycleState, _: &PodInfo, _: &NodeInfo) -> Result<(), Rejection> {
        panic!("it has said already that it does not look at nodes")
    }
}

#[test]
fn a_plugin_that_rejects_the_pod_as_such_does_not_silence_the_others() {
    for (outcome, expected) in [
        (
            PreFilterOutcome::Reject(Rejection::new("not today").unresolvable()),
            Verdict::Rejects { reasons: vec!["not today".to_owned()], resolvable: false, everywhere: true },
        ),
        (PreFilterOutcome::Fail("no idea".to_owned()), Verdict::Fails { error: "no idea".to_owned() }),
    ] {
        let mut builder = Framework::builder().plugin(Grumpy(outcome));
        for (plugin, weight) in orchestra_sched::plugins::default_plugins() {
            builder = builder.enable(plugin, weight);
        }
        let nodes = Snapshot::from_iter([node("n1").cpu(1).info()]);
        let explanation = builder.build().explain(&pod("p").cpu(2).info(), &nodes);
        assert_eq!(verdict(&explanation, "n1", "Grumpy"), &expected);
        assert_eq!(verdict(&explanation, "n1", "NodeResourcesFit").reasons(), ["Insufficient cpu"]);
        assert!(explanation.message.is_some());
    }
}

#[test]
fn scores_have_their_parts() {
    let web = pod("p").requests(1, "2Gi").prefer(10, "disk=ssd").prefer(5, "zone=a");
    let explanation = explain(web, [node("n1").label("disk", "ssd"), node("n2").label("zone", "a"), node("n3").cpu(0)]);
    let n2 = explanation.node("n2").unwrap();
    let affinity = n2.scores.iter().find(|score| score.plugin == "NodeAffinity").unwrap();
    assert_eq!((affinity.raw, affinity.normalized, affinity.weight, affinity.weighted), (5, 50, 2, 100));
    assert_eq!(n2.total, Some(n2.scores.iter().map(|score| score.weighted).sum()));
    assert_eq!(explanation.best().iter().map(|node| node.node.as_str()).collect::<Vec<_>>(), ["n1"]);
    let taints = explanation.scorers.iter().find(|scorer| scorer.plugin == "TaintToleration").unwrap();
    assert!(taints.skipped);
    let n3 = explanation.node("n3").unwrap();
    assert!(n3.scores.is_empty() && n3.total.is_none());
}

#[test]
fn the_json_form_says_it_all() {
    let explanation = explain(pod("p").cpu(2), [node("n1").cpu(1), node("n2")]);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(json["pod"], "default/p");
    let verdicts = json["nodes"][0]["verdicts"].as_array().unwrap();
    let fit = verdicts.iter().find(|verdict| verdict["plugin"] == "NodeResourcesFit").unwrap();
    let expected = serde_json::json!({
        "plugin": "NodeResourcesFit", "verdict": "rejects", "reasons": ["Insufficient cpu"],
        "resolvable": false, "everywhere": false,
    });
    assert_eq!(fit, &expected);
    assert_eq!(json["nodes"][1]["feasible"], true);
    assert!(json["nodes"][1]["scores"][0]["weighted"].is_i64());
}

#[test]
fn the_table_of_hundreds_of_nodes_is_short() {
    let small = (0..300).map(|i| node(format!("small-{i:03}")).cpu(1));
    let tainted = (0..40).map(|i| node(format!("tainted-{i:02}")).taint("k:NoSchedule"));
    let large = (0..20).map(|i| node(format!("large-{i:02}")).cpu(8));
    let explanation = explain(pod("p").cpu(2), small.chain(tainted).chain(large));
    let text = explanation.to_string();
    assert!(text.starts_with("pod default/p: 20 of 360 nodes fit\n"), "{text}");
    assert!(text.contains(
        "300       NodeResourcesFit   Insufficient cpu                   small-000, small-001, small-002 and 297 more\n"
    ));
    assert!(text.contains("40        TaintToleration    node(s) had untolerated taint(s)"), "{text}");
    assert!(text.contains("and 10 more"), "{text}");
    assert!(text.lines().count() < 25, "{text}");
    assert!(format!("{explanation:#}").contains("small-299"));
}

#[test]
fn the_table_of_a_node_names_every_plugin() {
    let explanation = explain(pod("p").cpu(2), [node("n1").cpu(1), node("n2")]);
    let text = explanation.node("n1").unwrap().to_string();
    assert!(text.starts_with("node n1: does not fit\n"), "{text}");
    let row = |plugin: &str| text.lines().find_map(|line| line.strip_prefix(plugin)).map(str::trim);
    assert_eq!(row("NodePorts"), Some("has nothing to look at"), "{text}");
    assert!(text.contains("rejects: Insufficient cpu\n"), "{text}");
    let text = explanation.node("n2").unwrap().to_string();
    let head = text.lines().find(|line| line.starts_with("SCORE")).unwrap_or_default();
    let columns: Vec<&str> = head.split_whitespace().collect();
    assert_eq!(columns, ["SCORE", "RAW", "NORMALIZED", "WEIGHT", "WEIGHTED"], "{text}");
}

proptest! {
    /// All nodes are looked at here: there are fewer than a hundred.
    #[test]
    fn the_decision_agrees_with_its_explanation(
        nodes in prop::collection::vec((1..8_i64, any::<bool>(), any::<bool>()), 1..12),
        cpu in 1..8_i64, ssd in any::<bool>(), seed in any::<u64>(),
        nominated in prop::collection::vec((0..12_usize, 1..8_i64, -1..2), 0..6),
    ) {
        let nodes = nodes.into_iter().enumerate().map(|(i, (cpu, cordoned, ssd))| {
            let node = node(format!("n{i:02}")).cpu(cpu).label("disk", if ssd { "ssd" } else { "hdd" });
            if cordoned { node.cordoned() } else { node }.info()
        });
        let mut nodes: Snapshot = nodes.collect();
        for (i, (node, cpu, priority)) in nominated.into_iter().enumerate() {
            let waiting = pod(format!("waiting-{i}")).cpu(cpu).priority(priority).info();
            nodes.nominations_mut().nominate(Arc::new(waiting), format!("n{node:02}").into());
        }
        let pod = pod("p").cpu(cpu);
        let pod = if ssd { pod.node_selector("disk", "ssd") } else { pod.prefer(3, "disk=ssd") }.info();
        let scheduler = Framework::kubernetes();
        let explanation = scheduler.explain(&pod, &nodes);
        match scheduler.schedule(&pod, &nodes, seed) {
            Ok(placement) => {
                prop_assert_eq!(explanation.feasible().count(), placement.feasible_nodes);
                let best = explanation.best();
                prop_assert!(best.iter().any(|node| *node.node == *placement.node));
                prop_assert!(placement.feasible_nodes == 1 || best[0].total == Some(placement.score));
            }
            Err(error) => prop_assert_eq!(explanation.message, Some(error.to_string())),
        }
    }
}

#[test]
fn what_a_pod_needs_beside_a_node_is_said() {
    let cluster = TestCluster::new().node(node("n1").cpu(4)).gang("g", 3, pod("worker").cpu(1));
    let on_node = cluster.clone().pod(pod("g-0").cpu(1).group("g").on("n1"));
    let explain = |cluster: &TestCluster, pod: PodBuilder| {
        Framework::kubernetes().explain(&pod.info(), &cluster.snapshot()).to_string().lines().nth(1).map(str::to_owned)
    };
    let member = || pod("g-1").cpu(1).group("g");
    let needs = "group default/g: 3 pods have to have nodes at once, so far 1 do";
    assert_eq!(explain(&on_node, member()).as_deref(), Some(needs));
    let waits = "group default/other: waiting for pods's pod group \"other\" to appear in scheduling queue";
    assert_eq!(explain(&cluster, pod("p").group("other")).as_deref(), Some(waits));
    assert_eq!(explain(&cluster, pod("alone")).as_deref(), Some(""));
}
