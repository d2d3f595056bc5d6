//! How many nodes are looked at, and which comes first.

/// Clusters up to this size are always looked at as a whole, and no fewer feasible nodes are looked for.
const MIN_FEASIBLE_NODES: usize = 100;
/// The least share of a large cluster, in percent.
const MIN_PERCENTAGE: usize = 5;

/// How many feasible nodes are enough to choose from: `percentageOfNodesToScore`, where `None` is Kubernetes' adaptive share,
/// from 50 % for 100 nodes down to 5 % for 5,625 and more.
pub(super) fn feasible_nodes_to_find(nodes: usize, percentage: Option<u8>) -> usize {
    if nodes < MIN_FEASIBLE_NODES {
        return nodes;
    }
    let adaptive = || 50_usize.saturating_sub(nodes / 125).max(MIN_PERCENTAGE);
    let percentage = percentage.map_or_else(adaptive, usize::from).min(100);
    (nodes * percentage / 100).max(MIN_FEASIBLE_NODES)
}

/// Draws two unrelated numbers from a seed (the finaliser of splitmix64): where to begin, and which tie wins.
pub(super) fn draws(seed: u64) -> (usize, usize) {
    let first = mix(seed);
    (first as usize, mix(first) as usize)
}

fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clusters_are_looked_at_as_a_whole() {
        assert_eq!(feasible_nodes_to_find(99, None), 99);
        assert_eq!(feasible_nodes_to_find(99, Some(10)), 99);
    }

    #[test]
    fn the_share_falls_with_the_size() {
        assert_eq!(feasible_nodes_to_find(100, None), 100);
        assert_eq!(feasible_nodes_to_find(1000, None), 420);
        assert_eq!(feasible_nodes_to_find(5000, None), 500);
        assert_eq!(feasible_nodes_to_find(50_000, None), 2500);
    }

    #[test]
    fn a_configured_share_is_kept_but_for_the_minimum() {
        assert_eq!(feasible_nodes_to_find(1000, Some(30)), 300);
        assert_eq!(feasible_nodes_to_find(1000, Some(1)), 100);
        assert_eq!(feasible_nodes_to_find(1000, Some(200)), 1000);
    }
}
