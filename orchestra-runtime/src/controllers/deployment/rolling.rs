//! The steps of a rolling update: pure decisions on the sizes of replica sets.
//!
//! Kubernetes looks at sizes where this looks at pods that are still there, and at availability where this leaves out pods that are about
//! to go; so it can exceed its bounds for the moment that replica sets need to follow. This does not.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::{
    bounds::Bounds,
    sets::{self, Sets},
};

/// The size that a replica set should get.
#[derive(Debug)]
pub(super) struct Resize {
    pub(super) set: Arc<ReplicaSet>,
    pub(super) replicas: i32,
}

impl Resize {
    pub(super) fn to(set: &Arc<ReplicaSet>, replicas: i32) -> Self {
        Self { set: Arc::clone(set), replicas }
    }
}

/// The size of the new set, which now should have `current` of the `total` [present](sets::present) pods of all sets: as many more as fit
/// under the upper bound.
pub(super) fn new_size(bounds: &Bounds, current: i32, total: i32) -> i32 {
    if !bounds.rolling || current > bounds.replicas {
        return bounds.replicas;
    }
    let room = bounds.most() - total;
    if room <= 0 { current } else { current + room.min(bounds.replicas - current) }
}

/// The new sizes of the old sets. First go pods that are not available, which costs no availability but lets the new set get on where it is
/// stuck behind them; then available ones, down to the lower bound.
pub(super) fn shrink_old(bounds: &Bounds, sets: &Sets) -> Vec<Resize> {
    let total: i32 = sets.all().iter().map(|set| sets::replicas(set)).sum();
    let starting = sets.new.as_ref().map_or(0, |new| sets::replicas(new) - sets::lasting(new));
    let spare = total - bounds.least() - starting;
    if spare <= 0 {
        return Vec::new();
    }
    let mut sizes: Vec<i32> = sets.old.iter().map(|set| sets::replicas(set)).collect();
    drop_unhealthy(&mut sizes, &sets.old, spare);
    let available: i32 = sets.all().iter().map(|set| sets::lasting(set)).sum();
    let mut left = available - bounds.least();
    for size in &mut sizes {
        if left <= 0 {
            break;
        }
        let down = left.min(*size);
        *size -= down;
        left -= down;
    }
    let changed = |(set, size): (&Arc<ReplicaSet>, i32)| (sets::replicas(set) != size).then(|| Resize::to(set, size));
    sets.old.iter().zip(sizes).filter_map(changed).collect()
}

fn drop_unhealthy(sizes: &mut [i32], old: &[Arc<ReplicaSet>], mut spare: i32) {
    for (size, set) in sizes.iter_mut().zip(old) {
        let down = (*size - sets::lasting(set)).clamp(0, spare);
        *size -= down;
        spare -= down;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sets::testing::set, *};

    fn bounds(replicas: i32, max_surge: i32, max_unavailable: i32) -> Bounds {
        Bounds { replicas, max_surge, max_unavailable, rolling: true }
    }

    fn shrunk(bounds: Bounds, new: (i32, i32), old: &[(i32, i32)]) -> Vec<(String, i32)> {
        let old = old.iter().zip(0..).map(|((size, available), n)| set(&format!("old-{n}"), n, *size, *available));
        let sets = Sets { new: Some(set("new", 30, new.0, new.1)), old: old.collect() };
        let named = |resize: Resize| (resize.set.metadata.name.clone().unwrap(), resize.replicas);
        shrink_old(&bounds, &sets).into_iter().map(named).collect()
    }

    #[test]
    fn the_new_set_grows_into_the_surge() {
        assert_eq!(new_size(&bounds(2, 1, 0), 0, 2), 1);
        assert_eq!(new_size(&bounds(2, 1, 0), 1, 3), 1);
        assert_eq!(new_size(&bounds(2, 1, 0), 1, 2), 2);
        assert_eq!(new_size(&bounds(10, 3, 2), 0, 10), 3);
        assert_eq!(new_size(&bounds(2, 1, 0), 5, 5), 2);
        assert_eq!(new_size(&Bounds { rolling: false, ..bounds(4, 0, 0) }, 0, 4), 4);
    }

    #[test]
    fn old_pods_go_only_as_new_ones_become_available() {
        assert_eq!(shrunk(bounds(2, 1, 0), (1, 0), &[(2, 2)]), []);
        assert_eq!(shrunk(bounds(2, 1, 0), (1, 1), &[(2, 2)]), [("old-0".to_owned(), 1)]);
        assert_eq!(shrunk(bounds(2, 1, 0), (2, 2), &[(1, 1)]), [("old-0".to_owned(), 0)]);
        assert_eq!(shrunk(bounds(10, 3, 2), (3, 0), &[(10, 10)]), [("old-0".to_owned(), 8)]);
    }

    #[test]
    fn unhealthy_pods_go_first_and_cost_no_availability() {
        let sizes = shrunk(bounds(10, 3, 2), (3, 0), &[(8, 8), (2, 0)]);
        assert_eq!(sizes, [("old-1".to_owned(), 0)]);
        assert_eq!(shrunk(bounds(4, 1, 0), (1, 1), &[(4, 2)]), [("old-0".to_owned(), 3)]);
    }

    #[test]
    fn pods_about_to_go_count_as_present_but_not_as_available() {
        // Told to shrink from 10 to 8, and not done yet.
        let mut old = set("old", 1, 8, 8);
        let status = Arc::make_mut(&mut old).status.as_mut().unwrap();
        (status.replicas, status.available_replicas) = (10, Some(10));
        assert_eq!(sets::present(&old), 10);
        let sets = Sets { new: Some(set("new", 2, 3, 3)), old: vec![old] };
        let sizes: Vec<_> = shrink_old(&bounds(10, 3, 2), &sets).iter().map(|resize| resize.replicas).collect();
        assert_eq!(sizes, [5]);
    }

    #[test]
    fn a_rollout_stays_within_its_bounds_at_every_step() {
        for (replicas, surge, unavailable) in [(1, 1, 0), (3, 0, 1), (10, 3, 2), (7, 7, 7), (5, 2, 0)] {
            let bounds = bounds(replicas, surge, unavailable);
            let (mut new, mut old) = (0, replicas);
            for _ in 0..100 {
                new = new_size(&bounds, new, new + old);
                assert!(new + old <= bounds.most());
                // All new pods have become available by the next step.
                if let [(_, size)] = &shrunk(bounds, (new, new), &[(old, old)])[..] {
                    old = *size;
                }
                assert!(new + old >= bounds.least());
            }
            assert_eq!((new, old), (replicas, 0));
        }
    }
}
