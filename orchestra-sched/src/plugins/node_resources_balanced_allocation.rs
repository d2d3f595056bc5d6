use orchestra_core::{
    field::{Error, Errors, Path, aggregate},
    scheduler::{NodeInfo, PodInfo},
};
use serde::Deserialize;

use super::resource_spec::{Compared, Counting, Reserved, ResourceSpec};
use crate::framework::{CycleState, MAX_NODE_SCORE, Plugin, PreScore, Score};

/// Prefers nodes of which the shares of CPU and memory, or of other resources, that are reserved become more alike by the pod.
///
/// As since Kubernetes 1.36 the change counts: from 50, if all balance is lost, over 75, if nothing changes, to 100.
#[derive(Clone, Debug)]
pub struct NodeResourcesBalancedAllocation {
    resources: Vec<Compared>,
}

/// `NodeResourcesBalancedAllocationArgs` of kubescheduler.config.k8s.io/v1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeResourcesBalancedAllocationArgs {
    /// What is to be in balance, each with the weight 1; without any, CPU and memory.
    pub resources: Vec<ResourceSpec>,
}

impl NodeResourcesBalancedAllocationArgs {
    fn with_defaults(self) -> Self {
        let resources = if self.resources.is_empty() { ResourceSpec::cpu_and_memory() } else { self.resources };
        Self { resources: resources.into_iter().map(ResourceSpec::with_default_weight).collect() }
    }

    fn validate(&self) -> Result<(), String> {
        let path = Path::new("resources");
        let mut errors = Errors::new();
        for (index, resource) in self.resources.iter().enumerate() {
            let path = path.index(index);
            if self.resources[..index].iter().any(|other| other.name == resource.name) {
                errors.push(Error::duplicate(&path.child("name"), &resource.name));
            }
            if resource.weight != 1 {
                errors.push(Error::invalid(&path.child("weight"), resource.weight, "must be 1"));
            }
        }
        aggregate(&errors)
    }
}

impl NodeResourcesBalancedAllocation {
    /// The plugin with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, in Kubernetes' words.
    pub fn new(args: NodeResourcesBalancedAllocationArgs) -> Result<Self, String> {
        let args = args.with_defaults();
        args.validate()?;
        Ok(Self::of(&args))
    }

    fn of(args: &NodeResourcesBalancedAllocationArgs) -> Self {
        Self { resources: args.resources.iter().map(Compared::of).collect() }
    }
}

impl Default for NodeResourcesBalancedAllocation {
    fn default() -> Self {
        Self::of(&NodeResourcesBalancedAllocationArgs::default().with_defaults())
    }
}

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn as_pre_score(&self) -> Option<&dyn PreScore> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }
}

impl PreScore for NodeResourcesBalancedAllocation {
    fn pre_score(&self, _: &mut CycleState, pod: &PodInfo, _: &[&NodeInfo]) -> bool {
        // A pod that asks for nothing would always go where balance is best by chance, as would all others of its kind.
        self.resources.iter().any(|resource| resource.wanted(pod, Counting::Exact) != 0)
    }
}

impl Score for NodeResourcesBalancedAllocation {
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let part = |amount: i64, capacity: i64| (amount as f64 / capacity as f64).min(1.0);
        let reserved = self.resources.iter().filter_map(|resource| resource.reserved(pod, node, Counting::Exact));
        let shares =
            reserved.map(|Reserved { before, after, capacity }| (part(before, capacity), part(after, capacity)));
        let (without, with) = deviations(shares);
        let (without, with) = (balance(without), balance(with));
        let half = MAX_NODE_SCORE / 2;
        half + (half + with - without) / 2
    }
}

/// The standard deviations of the shares without and with the pod.
fn deviations(shares: impl Iterator<Item = (f64, f64)> + Clone) -> (f64, f64) {
    let mut rest = shares.clone();
    match (rest.next(), rest.next(), rest.next()) {
        // Of two values, as mostly there are, it is half their difference.
        (Some(a), Some(b), None) => ((a.0 - b.0).abs() / 2.0, (a.1 - b.1).abs() / 2.0),
        (_, _, Some(_)) => (deviation(shares.clone().map(|share| share.0)), deviation(shares.map(|share| share.1))),
        _ => (0.0, 0.0),
    }
}

fn deviation(shares: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = shares.clone().count() as f64;
    let mean = shares.clone().sum::<f64>() / count;
    (shares.map(|share| (share - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// [`MAX_NODE_SCORE`] less the deviation, which is one half at most.
fn balance(deviation: f64) -> i64 {
    ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn holding(requests: Value) -> NodeInfo {
        let mut node = node(json!({ "status": { "allocatable": { "a/gpu": "2" } } }));
        node.add_pod(Arc::new(requesting(requests)));
        node
    }

    fn with_args(args: Value) -> Result<NodeResourcesBalancedAllocation, String> {
        NodeResourcesBalancedAllocation::new(serde_json::from_value(args).unwrap())
    }

    fn scores_of(args: Value, wanted: Value, nodes: &[NodeInfo]) -> Option<Vec<i64>> {
        scores(&with_args(args).unwrap(), &requesting(wanted), &nodes.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_node_that_gains_balance_is_better_than_one_that_keeps_it_and_that_than_one_that_loses_it() {
        let nodes = [
            holding(json!({ "memory": "4Gi" })),
            holding(json!({ "cpu": "2", "memory": "4Gi" })),
            holding(json!({})),
            holding(json!({ "cpu": "2" })),
        ];
        // Shares of CPU and memory: 0 and 1/2 become 1/2 and 1/2; 1/2 and 1/2 become 1 and 1/2; 0 and 0 become 1/2 and 0.
        assert_eq!(scores_of(json!({}), json!({ "cpu": "2" }), &nodes), Some(vec![87, 62, 62, 62]));
        assert_eq!(scores_of(json!({}), json!({ "cpu": "1", "memory": "2Gi" }), &nodes), Some(vec![75; 4]));
    }

    #[test]
    fn a_share_is_never_more_than_the_whole() {
        let over = [holding(json!({ "cpu": "40" }))];
        assert_eq!(scores_of(json!({}), json!({ "cpu": "1" }), &over), Some(vec![75]));
        assert_eq!(scores_of(json!({}), json!({ "memory": "80Gi" }), &over), Some(vec![100]));
    }

    #[test]
    fn a_node_without_memory_is_balanced() {
        let odd = [node(json!({ "status": { "allocatable": { "memory": "0" } } }))];
        assert_eq!(scores_of(json!({}), json!({ "cpu": "1" }), &odd), Some(vec![75]));
    }

    #[test]
    fn a_pod_that_asks_for_nothing_is_not_scored() {
        assert_eq!(scores_of(json!({}), json!({}), &[node(json!({}))]), None);
        assert_eq!(scores_of(json!({}), json!({ "a/gpu": "1" }), &[node(json!({}))]), None);
    }

    #[test]
    fn any_resources_can_be_balanced() {
        let args = json!({ "resources": [{ "name": "cpu" }, { "name": "memory", "weight": 1 }, { "name": "a/gpu" }] });
        let nodes = [holding(json!({ "cpu": "2", "memory": "4Gi" })), holding(json!({}))];
        // 1/2, 1/2, 0 become 1/2, 1/2, 1/2; 0, 0, 0 become 0, 0, 1/2: a deviation of 0.2357 each.
        assert_eq!(scores_of(args.clone(), json!({ "a/gpu": "1" }), &nodes), Some(vec![87, 63]));
        // Devices do not count for pods that ask for none.
        assert_eq!(scores_of(args, json!({ "cpu": "2", "memory": "4Gi" }), &nodes), Some(vec![75, 75]));
    }

    #[test]
    fn wrong_arguments_are_named_in_kubernetes_words() {
        let error = with_args(json!({ "resources": [{ "name": "cpu" }, { "name": "cpu" }] })).unwrap_err();
        assert_eq!(error, r#"resources[1].name: Duplicate value: "cpu""#);
        let error = with_args(json!({ "resources": [{ "name": "cpu", "weight": 2 }] })).unwrap_err();
        assert_eq!(error, "resources[0].weight: Invalid value: 2: must be 1");
    }
}
