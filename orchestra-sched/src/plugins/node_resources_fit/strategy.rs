//! How nodes that have enough are compared.

use orchestra_core::scheduler::{NodeInfo, PodInfo};

use super::{
    super::resource_spec::{Compared, Counting, Reserved, share},
    args::{MOST_ALLOCATED, REQUESTED_TO_CAPACITY_RATIO, ScoringStrategy},
    shape::Shape,
};
use crate::framework::MAX_NODE_SCORE;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strategy {
    resources: Vec<Compared>,
    by: By,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    /// The more is left, the better.
    LeastAllocated,
    /// The less is left, the better: nodes are filled one after the other.
    MostAllocated,
    /// As the function says.
    Ratio(Shape),
}

impl Strategy {
    /// Reads what is valid.
    pub(super) fn new(strategy: &ScoringStrategy) -> Self {
        let shape = || strategy.requested_to_capacity_ratio.as_ref().map(|param| Shape::new(&param.shape));
        let by = match strategy.r#type.as_str() {
            MOST_ALLOCATED => By::MostAllocated,
            REQUESTED_TO_CAPACITY_RATIO => shape().map_or(By::LeastAllocated, By::Ratio),
            _ => By::LeastAllocated,
        };
        Self { resources: strategy.resources.iter().map(Compared::of).collect(), by }
    }

    /// The mean of the scores of the resources that the node has, by their weights.
    pub(super) fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for resource in &self.resources {
            let Some(reserved) = resource.reserved(pod, node, Counting::WithDefaults) else { continue };
            let score = self.by.score(reserved);
            // A resource that the function gives nothing does not count, as in Kubernetes.
            if matches!(self.by, By::Ratio(_)) && score == 0 {
                continue;
            }
            sum += score * resource.weight;
            weights += resource.weight;
        }
        match (weights, &self.by) {
            (0, _) => 0,
            (weights, By::Ratio(_)) => (sum as f64 / weights as f64).round() as i64,
            (weights, _) => sum / weights,
        }
    }
}

impl By {
    fn score(&self, Reserved { after, capacity, .. }: Reserved) -> i64 {
        match self {
            Self::LeastAllocated => share(capacity.saturating_sub(after), capacity),
            Self::MostAllocated => share(after, capacity),
            Self::Ratio(shape) if after > capacity => shape.score(MAX_NODE_SCORE),
            Self::Ratio(shape) => shape.score(share(after, capacity)),
        }
    }
}
