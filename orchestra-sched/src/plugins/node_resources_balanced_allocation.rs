use orchestra_core::scheduler::{NodeInfo, PodInfo};

use crate::framework::{CycleState, MAX_NODE_SCORE, Plugin, PreScore, Score};

/// Prefers nodes of which the same share of CPU and memory would be reserved.
#[derive(Clone, Copy, Debug, Default)]
pub struct NodeResourcesBalancedAllocation;

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
        pod.requests().milli_cpu > 0 || pod.requests().memory > 0
    }
}

impl Score for NodeResourcesBalancedAllocation {
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (asked, used, all) = (pod.requests(), node.requested(), node.allocatable());
        let cpu = share(used.milli_cpu.saturating_add(asked.milli_cpu), all.milli_cpu);
        let memory = share(used.memory.saturating_add(asked.memory), all.memory);
        // The standard deviation of two values is half their difference; of one it is none.
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
            _ => 0.0,
        };
        ((1.0 - deviation) * MAX_NODE_SCORE as f64) as i64
    }
}

/// Which part of `capacity` is reserved, one at most; `None` where the node has none.
fn share(reserved: i64, capacity: i64) -> Option<f64> {
    (capacity != 0).then(|| (reserved as f64 / capacity as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::{super::testing::*, *};

    fn holding(requests: Value) -> NodeInfo {
        let mut node = node(json!({}));
        node.add_pod(Arc::new(requesting(requests)));
        node
    }

    #[test]
    fn the_better_balanced_node_is_better() {
        let nodes =
            [holding(json!({ "cpu": "1", "memory": "2Gi" })), holding(json!({ "cpu": "3" })), holding(json!({}))];
        let nodes: Vec<&NodeInfo> = nodes.iter().collect();
        let pod = requesting(json!({ "cpu": "1", "memory": "2Gi" }));
        assert_eq!(scores(&NodeResourcesBalancedAllocation, &pod, &nodes), Some(vec![100, 62, 100]));
    }

    #[test]
    fn a_share_is_never_more_than_the_whole() {
        let over = holding(json!({ "cpu": "40" }));
        assert_eq!(
            scores(&NodeResourcesBalancedAllocation, &requesting(json!({ "cpu": "1" })), &[&over]),
            Some(vec![50])
        );
    }

    #[test]
    fn a_node_without_memory_is_balanced() {
        let odd = node(json!({ "status": { "allocatable": { "memory": "0" } } }));
        assert_eq!(
            scores(&NodeResourcesBalancedAllocation, &requesting(json!({ "cpu": "1" })), &[&odd]),
            Some(vec![100])
        );
    }

    #[test]
    fn a_pod_that_asks_for_nothing_is_not_scored() {
        assert_eq!(scores(&NodeResourcesBalancedAllocation, &requesting(json!({})), &[&node(json!({}))]), None);
    }
}
