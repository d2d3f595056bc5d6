//! Nodes as a table, for messages of failed assertions.

use std::fmt::Write as _;

use orchestra_core::{
    quantity::Quantity,
    scheduler::{NodeInfo, Snapshot},
};

use crate::explain::table;

/// How many nodes are shown.
const SHOWN: usize = 20;

/// What each node has, and what is taken of it.
pub(in crate::testing) fn nodes_table(snapshot: &Snapshot) -> String {
    let head = ["NODE", "PODS", "CPU", "MEMORY", "LABELS", "TAINTS"].map(str::to_owned).to_vec();
    let rows = snapshot.iter().take(SHOWN).map(|node| row(node));
    let mut text = table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    if snapshot.len() > SHOWN {
        let _ = writeln!(text, "and {} nodes more", snapshot.len() - SHOWN);
    }
    text
}

fn row(node: &NodeInfo) -> Vec<String> {
    let (used, all) = (node.requested(), node.allocatable());
    let labels = node.labels().iter().filter(|(key, _)| *key != "kubernetes.io/hostname");
    let labels = labels.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let mut taints: Vec<String> =
        node.taints().iter().map(|taint| format!("{}={}:{:?}", taint.key, taint.value, taint.effect)).collect();
    if node.is_unschedulable() {
        taints.push("(cordoned)".to_owned());
    }
    vec![
        node.name().to_string(),
        format!("{}/{}", used.pods, all.pods),
        format!("{}/{}", Quantity::from_milli(used.milli_cpu), Quantity::from_milli(all.milli_cpu)),
        format!("{}/{}", Quantity::from_bytes(used.memory), Quantity::from_bytes(all.memory)),
        labels,
        taints.join(","),
    ]
}
