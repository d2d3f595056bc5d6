//! What any scheduler has to heed, judged from the API objects: on purpose not with the plugins' code.

mod pod_affinity;

use std::{collections::BTreeMap, fmt};

use k8s_openapi::api::core::v1::{Taint, Toleration, TopologySpreadConstraint};
use orchestra_core::{
    scheduler::{NodeInfo, PodInfo, Snapshot},
    selector::{label::Selector, node::selects},
};

/// A rule that a scheduler keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// It chooses a node that is there.
    KnownNode,
    /// No node has more reserved than it has: resources, and how many pods it takes.
    Resources,
    /// No pod goes to a cordoned node, unless it tolerates `node.kubernetes.io/unschedulable:NoSchedule`.
    Cordon,
    /// No pod goes to a node with a hard taint that it does not tolerate.
    Taints,
    /// A pod goes only where its node selector and required node affinity let it.
    NodeAffinity,
    /// No two pods take the same port of a node.
    Ports,
    /// `DoNotSchedule` constraints hold (`topologySpreadConstraints`).
    Spread,
    /// Required pod affinity and anti-affinity hold, the pod's own and those of the pods that are there.
    PodAffinity,
    /// A pod that fits somewhere is sent somewhere.
    FindsRoom,
    /// Where a pod fits nowhere, there is a reason for each node.
    Reasons,
    /// The same question has the same answer, whatever is asked in between.
    Deterministic,
    /// It neither panics nor fails.
    Answers,
    /// Nobody starves: of a change that lets a rejected pod be placed, it says that it may help
    /// ([`may_help`](orchestra_core::scheduler::Scheduler::may_help)).
    Wakes,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// How a pod on a node of the cluster would break a rule.
type Judge = fn(&PodInfo, &NodeInfo, &Snapshot) -> Option<String>;

const JUDGES: [(Rule, Judge); 7] = [
    (Rule::Resources, resources),
    (Rule::Cordon, cordon),
    (Rule::Taints, taints),
    (Rule::NodeAffinity, node_affinity),
    (Rule::Ports, ports),
    (Rule::Spread, spread),
    (Rule::PodAffinity, pod_affinity::broken),
];

/// The rules that `pod` on `node` of `snapshot`, which does not have it yet, would break, and how.
pub(super) fn broken<'a>(
    pod: &'a PodInfo,
    node: &'a NodeInfo,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = (Rule, String)> + 'a {
    JUDGES.into_iter().filter_map(|(rule, judge)| Some((rule, judge(pod, node, snapshot)?)))
}

fn resources(pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Option<String> {
    let (all, wanted) = (node.allocatable(), pod.requests());
    let used = |name: &str| node.pods().iter().map(|pod| pod.requests().get(name)).sum::<i64>();
    if node.pods().len() as i64 + 1 > all.pods {
        return Some(format!("which takes {} pods and has {}", all.pods, node.pods().len()));
    }
    let names = ["cpu", "memory", "ephemeral-storage"].into_iter().chain(wanted.scalars.keys().map(|name| &**name));
    let mut short = names.filter(|name| wanted.get(name) > 0 && used(name) + wanted.get(name) > all.get(name));
    short.next().map(|name| {
        format!(
            "which has {} of {name}, of which {} is taken: {} does not fit",
            all.get(name),
            used(name),
            wanted.get(name)
        )
    })
}

fn cordon(pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Option<String> {
    let taint = Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Taint::default()
    };
    let is_cordoned = node.node().spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    (is_cordoned && !tolerates(pod, &taint)).then(|| "which is cordoned".to_owned())
}

fn taints(pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Option<String> {
    let taints = node.node().spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut hard = taints.filter(|taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute");
    let taint = hard.find(|taint| !tolerates(pod, taint))?;
    let value = taint.value.as_deref().map(|value| format!("={value}")).unwrap_or_default();
    Some(format!("whose taint {}{value}:{} it does not tolerate", taint.key, taint.effect))
}

fn tolerates(pod: &PodInfo, taint: &Taint) -> bool {
    let tolerates = |toleration: &Toleration| {
        let key = toleration.key.as_deref().filter(|key| !key.is_empty());
        let effect = toleration.effect.as_deref().filter(|effect| !effect.is_empty());
        let value = |of: &Option<String>| of.clone().unwrap_or_default();
        let is_same = match toleration.operator.as_deref() {
            Some("Exists") => key.is_none_or(|key| key == taint.key),
            None | Some("" | "Equal") => key == Some(&*taint.key) && value(&toleration.value) == value(&taint.value),
            Some(_) => false,
        };
        is_same && effect.is_none_or(|effect| effect == taint.effect)
    };
    pod.spec().iter().flat_map(|spec| spec.tolerations.iter().flatten()).any(tolerates)
}

fn node_affinity(pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Option<String> {
    let spec = pod.spec()?;
    let mut selector = spec.node_selector.iter().flatten();
    if let Some((key, value)) = selector.find(|(key, value)| node.labels().get(*key) != Some(*value)) {
        return Some(format!("which has not the label {key}={value} of its node selector"));
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|a| a.required_during_scheduling_ignored_during_execution.as_ref())?;
    (!selects(required, node.name(), node.labels()))
        .then(|| "which its required node affinity does not select".to_owned())
}

fn ports(pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> Option<String> {
    let taken = |wanted| node.pods().iter().flat_map(|pod| pod.host_ports()).any(|used| used.conflicts(wanted));
    let port = pod.host_ports().iter().find(|wanted| taken(*wanted))?;
    Some(format!("where port {}/{} is taken", port.port, port.protocol))
}

fn spread(pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> Option<String> {
    let constraints = pod.spec()?.topology_spread_constraints.iter().flatten();
    let hard: Vec<_> = constraints.filter(|constraint| constraint.when_unsatisfiable == "DoNotSchedule").collect();
    let keys: Vec<&str> = hard.iter().map(|constraint| constraint.topology_key.as_str()).collect();
    let counts = |other: &NodeInfo| {
        keys.iter().all(|key| other.labels().contains_key(*key)) && node_affinity(pod, other, snapshot).is_none()
    };
    let eligible: Vec<&NodeInfo> = snapshot.iter().map(|node| &**node).filter(|node| counts(node)).collect();
    hard.into_iter().find_map(|constraint| skew(constraint, pod, node, &eligible))
}

fn skew(
    constraint: &TopologySpreadConstraint,
    pod: &PodInfo,
    node: &NodeInfo,
    eligible: &[&NodeInfo],
) -> Option<String> {
    let key = &constraint.topology_key;
    let Some(value) = node.labels().get(key) else {
        return Some(format!("which has no label {key} to be spread over"));
    };
    let selector = Selector::try_from(constraint.label_selector.as_ref()?).ok()?;
    let selected = |other: &PodInfo| {
        let metadata = &other.pod().metadata;
        other.key().namespace() == pod.key().namespace()
            && metadata.deletion_timestamp.is_none()
            && selector.matches_optional(metadata.labels.as_ref())
    };
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for node in eligible {
        let Some(value) = node.labels().get(key) else { continue };
        *counts.entry(value).or_default() += node.pods().iter().filter(|pod| selected(pod)).count() as i64;
    }
    let enough = counts.len() as i64 >= i64::from(constraint.min_domains.unwrap_or(1));
    let least = if enough { counts.values().min().copied().unwrap_or(0) } else { 0 };
    let there = counts.get(value.as_str()).copied().unwrap_or(0) + i64::from(selected(pod));
    (there - least > i64::from(constraint.max_skew))
        .then(|| format!("where {key}={value} would have {there} of its kind and another value {least}"))
}
