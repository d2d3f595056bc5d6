use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Node, NodeSpec, NodeStatus, Taint},
    apimachinery::pkg::api::resource::Quantity,
};

use super::{Dice, ZONES};

/// The node called `name`.
pub(crate) fn node(name: &str, dice: &mut Dice) -> Node {
    let mut node = Node::default();
    node.metadata.name = Some(name.to_owned());
    node.metadata.labels = Some(labels(name, dice));
    node.spec =
        Some(NodeSpec { unschedulable: dice.once_in(12).then_some(true), taints: taints(dice), ..NodeSpec::default() });
    // A node that has just come may have no status yet.
    node.status =
        (!dice.once_in(20)).then(|| NodeStatus { allocatable: Some(allocatable(dice)), ..NodeStatus::default() });
    node
}

fn labels(name: &str, dice: &mut Dice) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut set = |key: &str, value: Option<&str>| value.map(|value| labels.insert(key.to_owned(), value.to_owned()));
    set("zone", Some(dice.choose(&ZONES)).filter(|_| !dice.once_in(8)));
    set("rack", dice.maybe(&["r1", "r2"]));
    set("kubernetes.io/hostname", Some(name).filter(|_| !dice.once_in(15)));
    set("disk", dice.maybe(&["ssd", "hdd"]));
    set("size", dice.maybe(&["1", "5", "many"]));
    labels
}

fn taints(dice: &mut Dice) -> Option<Vec<Taint>> {
    let mut taint = || Taint {
        key: dice.choose(&["gpu", "team"]).to_owned(),
        value: dice.maybe(&["a", "b"]).map(str::to_owned),
        effect: dice.choose(&["NoSchedule", "NoExecute", "PreferNoSchedule"]).to_owned(),
        time_added: None,
    };
    let (first, second) = (taint(), taint());
    match dice.roll(8) {
        6 => Some(vec![first]),
        7 => Some(vec![first, second]),
        _ => None,
    }
}

fn allocatable(dice: &mut Dice) -> BTreeMap<String, Quantity> {
    let mut allocatable = BTreeMap::new();
    let mut set = |resource: &str, amount: Option<&str>| {
        amount.map(|amount| allocatable.insert(resource.to_owned(), Quantity(amount.to_owned())))
    };
    set("cpu", Some(dice.choose(&["4", "2", "1500m"])));
    set("memory", Some(dice.choose(&["1024Mi", "256Mi"])));
    set("pods", Some(dice.choose(&["110", "5", "2"])));
    set("ephemeral-storage", dice.maybe(&["512Mi"]));
    set("example.com/gpu", dice.maybe(&["1", "2"]));
    allocatable
}
