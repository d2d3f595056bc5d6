use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerPort, Pod, PodSpec, ResourceRequirements, Toleration, TopologySpreadConstraint,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, Time},
    },
};

use super::{APPS, Dice, KEYS, NAMESPACES, affinity, strings};

/// The pod called `name`, which waits for a node.
pub(crate) fn pod(name: &str, dice: &mut Dice) -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = Some(name.to_owned());
    pod.metadata.uid = Some(name.to_owned());
    pod.metadata.namespace = Some(dice.choose(&NAMESPACES).to_owned());
    pod.metadata.labels = Some(labels(dice));
    pod.metadata.deletion_timestamp = dice.once_in(12).then_some(Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
    let affinity = affinity::of_nodes_and_pods(dice);
    pod.spec = Some(PodSpec {
        affinity,
        topology_spread_constraints: constraints(dice),
        node_selector: dice.once_in(12).then(|| strings(&[dice.choose(&[("zone", "a"), ("disk", "ssd")])])),
        tolerations: tolerations(dice),
        containers: vec![container(dice)],
        init_containers: init_containers(dice),
        resources: dice.once_in(12).then(|| requests(dice)),
        overhead: dice.once_in(12).then(|| quantities(&[("cpu", "250m")])),
        ..PodSpec::default()
    });
    pod
}

/// The labels of a pod.
pub(crate) fn labels(dice: &mut Dice) -> BTreeMap<String, String> {
    let mut labels = strings(&[("app", dice.choose(&APPS))]);
    labels.extend(dice.maybe(&["1", "2"]).map(|version| ("version".to_owned(), version.to_owned())));
    labels
}

/// A selector of pods, or none.
pub(super) fn selector(dice: &mut Dice) -> Option<LabelSelector> {
    if dice.once_in(12) {
        return None;
    }
    let mut selector =
        LabelSelector { match_labels: Some(strings(&[("app", dice.choose(&APPS))])), match_expressions: None };
    match dice.roll(6) {
        3 => selector.match_labels = None,
        4 => selector.match_expressions = Some(affinity::expressions("version", dice)),
        5 => {
            selector = LabelSelector { match_labels: None, match_expressions: Some(affinity::expressions("app", dice)) }
        }
        _ => {}
    }
    Some(selector)
}

fn constraints(dice: &mut Dice) -> Option<Vec<TopologySpreadConstraint>> {
    let number = [0, 0, 0, 0, 0, 1, 1, 2][dice.roll(8)];
    let constraint = |_| TopologySpreadConstraint {
        max_skew: dice.choose(&[1, 2]),
        topology_key: dice.choose(&KEYS).to_owned(),
        when_unsatisfiable: if dice.once_in(6) { "ScheduleAnyway" } else { "DoNotSchedule" }.to_owned(),
        label_selector: selector(dice),
        min_domains: dice.maybe(&[1, 2, 3]),
        node_affinity_policy: dice.maybe(&["Honor", "Ignore"]).map(str::to_owned),
        node_taints_policy: dice.maybe(&["Honor", "Ignore"]).map(str::to_owned),
        match_label_keys: dice.maybe(&["version", "absent"]).map(|key| vec![key.to_owned()]),
    };
    (number > 0).then(|| (0..number).map(constraint).collect())
}

fn tolerations(dice: &mut Dice) -> Option<Vec<Toleration>> {
    let toleration = Toleration {
        key: dice.maybe(&["gpu", "team", "node.kubernetes.io/unschedulable"]).map(str::to_owned),
        operator: dice.choose(&[Some("Exists"), Some("Equal"), None]).map(str::to_owned),
        value: dice.maybe(&["a", "b"]).map(str::to_owned),
        effect: dice.maybe(&["NoSchedule", "NoExecute"]).map(str::to_owned),
        toleration_seconds: None,
    };
    dice.once_in(4).then(|| vec![toleration])
}

fn container(dice: &mut Dice) -> Container {
    Container { name: "c".to_owned(), resources: Some(requests(dice)), ports: ports(dice), ..Container::default() }
}

fn ports(dice: &mut Dice) -> Option<Vec<ContainerPort>> {
    let port = ContainerPort {
        container_port: 80,
        host_port: Some(dice.choose(&[80, 81, 0])),
        protocol: dice.maybe(&["TCP", "UDP"]).map(str::to_owned),
        host_ip: dice.maybe(&["0.0.0.0", "10.0.0.1", "10.0.0.2"]).map(str::to_owned),
        name: None,
    };
    dice.once_in(6).then(|| vec![port])
}

fn init_containers(dice: &mut Dice) -> Option<Vec<Container>> {
    let number = [0, 0, 0, 0, 1, 2][dice.roll(6)];
    let init_container = |index| Container {
        name: format!("i{index}"),
        restart_policy: dice.once_in(2).then(|| "Always".to_owned()),
        ..container(dice)
    };
    (number > 0).then(|| (0..number).map(init_container).collect())
}

fn requests(dice: &mut Dice) -> ResourceRequirements {
    let mut list = Vec::new();
    list.extend(dice.maybe(&["250m", "500m", "1"]).map(|amount| ("cpu", amount)));
    list.extend(dice.maybe(&["64Mi", "128Mi"]).map(|amount| ("memory", amount)));
    list.extend(dice.once_in(10).then_some(("example.com/gpu", "1")));
    list.extend(dice.once_in(15).then_some(("ephemeral-storage", "256Mi")));
    ResourceRequirements { requests: Some(quantities(&list)), ..ResourceRequirements::default() }
}

fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs.iter().map(|(resource, amount)| ((*resource).to_owned(), Quantity((*amount).to_owned()))).collect()
}
