//! Which of the nodes that can take a pod spread it better.

use std::{collections::BTreeSet, sync::Arc};

use orchestra_core::scheduler::{NodeInfo, PodInfo};

use super::{super::tally::Tally, PodTopologySpread, constraint::Spread};
use crate::framework::{CycleState, MAX_NODE_SCORE, PreScore, Score};

/// The label whose values are nodes.
pub(super) const HOSTNAME: &str = "kubernetes.io/hostname";
/// The score of nodes that lack a label.
const LEFT_OUT: i64 = -1;

/// The pods that the preferred constraints count.
pub(super) struct Counted(pub(super) Arc<Tally<Spread>>);

/// How much a pod counts, of each constraint: more where there are more values.
struct Weights(Vec<f64>);

impl PreScore for PodTopologySpread {
    fn pre_score(&self, state: &mut CycleState, _: &PodInfo, nodes: &[&NodeInfo]) -> bool {
        let Some(Counted(tally)) = state.read() else { return false };
        let spread = tally.question();
        let compared: Vec<&NodeInfo> = nodes.iter().copied().filter(|node| spread.compares(node)).collect();
        let weights = spread.constraints.iter().map(|constraint| {
            let values = if constraint.key == HOSTNAME {
                compared.len()
            } else {
                // As in Kubernetes, to have no value is a value too.
                compared.iter().map(|node| node.labels().get(&constraint.key)).collect::<BTreeSet<_>>().len()
            };
            // Of a million nodes no digit is lost.
            ((values + 2) as f64).ln()
        });
        let weights = Weights(weights.collect());
        state.write(weights);
        true
    }
}

impl Score for PodTopologySpread {
    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
        let (Some(Counted(tally)), Some(Weights(weights))) = (state.read(), state.read()) else { return 0 };
        let (spread, mut score) = (tally.question(), 0.0);
        for (key, (constraint, weight)) in spread.constraints.iter().zip(weights).enumerate() {
            let Some(value) = node.labels().get(&constraint.key) else {
                if spread.needs_all_keys {
                    return LEFT_OUT;
                }
                continue;
            };
            let count = if constraint.key == HOSTNAME {
                tally.of_node(key, node.name()).map(i64::from)
            } else {
                tally.of_value(key, value)
            };
            score += count.unwrap_or(0) as f64 * weight + (constraint.max_skew - 1) as f64;
        }
        score.round() as i64
    }

    fn normalize(&self, scores: &mut [i64]) {
        let compared = || scores.iter().filter(|score| **score != LEFT_OUT);
        let (least, most) = (compared().min().copied().unwrap_or(0), compared().max().copied().unwrap_or(0));
        for score in scores {
            *score = match *score {
                LEFT_OUT => 0,
                _ if most == 0 => MAX_NODE_SCORE,
                score => MAX_NODE_SCORE * (most + least - score) / most,
            };
        }
    }
}
