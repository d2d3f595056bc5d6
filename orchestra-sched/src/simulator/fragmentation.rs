use orchestra_core::scheduler::{NodeInfo, Resources, Snapshot};

/// How much of what is free is of no use to pods of a reference size, because it is in pieces that are too small: 0 if as many of
/// them fit as would if all that is free were one node, 1 if none fits though there would be room.
pub(super) fn fragmentation(snapshot: &Snapshot, reference: &Resources) -> f64 {
    let mut whole = [0_i64; 2];
    let mut fitting = 0_i64;
    for node in snapshot.iter().filter(|node| !node.is_unschedulable()) {
        let free = free(node);
        for (whole, free) in whole.iter_mut().zip(free) {
            *whole = whole.saturating_add(free);
        }
        fitting = fitting.saturating_add(how_many(free, reference));
    }
    match how_many(whole, reference) {
        0 => 0.0,
        possible => 1.0 - (fitting as f64 / possible as f64).min(1.0),
    }
}

/// Free CPU and memory; none where no pod may be added.
fn free(node: &NodeInfo) -> [i64; 2] {
    let (all, used) = (node.allocatable(), node.requested());
    if used.pods >= all.pods {
        return [0; 2];
    }
    [all.milli_cpu - used.milli_cpu, all.memory - used.memory].map(|free| free.max(0))
}

fn how_many(free: [i64; 2], reference: &Resources) -> i64 {
    let parts = [(free[0], reference.milli_cpu), (free[1], reference.memory)];
    parts.into_iter().filter(|(_, size)| *size > 0).map(|(free, size)| free / size).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{TestCluster, node, pod};

    fn of(free: [u32; 2]) -> f64 {
        let mut cluster = TestCluster::new();
        for (i, free) in free.into_iter().enumerate() {
            cluster.add_node(node(format!("n{i}")).cpu(4).memory("64Gi"));
            cluster.add_pod(pod(format!("p{i}")).requests(4 - free, 0).on(format!("n{i}")));
        }
        fragmentation(&cluster.snapshot(), pod("p").requests(2, "1Gi").info().requests())
    }

    #[test]
    fn pieces_that_are_too_small_count() {
        assert_eq!(of([4, 2]), 0.0);
        assert_eq!(of([1, 1]), 1.0);
        assert_eq!(of([3, 1]), 0.5);
        assert_eq!(of([0, 0]), 0.0, "nothing is free, so nothing is in pieces");
    }
}
