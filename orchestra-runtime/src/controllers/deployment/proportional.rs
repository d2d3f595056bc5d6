//! What happens to the sizes of replica sets when a deployment is scaled in the middle of a rollout, or while it is paused.

use std::{cmp::Reverse, sync::Arc};

use k8s_openapi::api::apps::v1::ReplicaSet;

use super::{
    annotations,
    bounds::Bounds,
    rolling::Resize,
    sets::{self, Sets},
};

/// The sizes after the change of scale: each active set grows or shrinks in proportion to its share, and the largest takes what rounding
/// leaves.
/// `present` is the number of pods that the deployment has now.
pub(super) fn resize(bounds: &Bounds, sets: &Sets, present: i32) -> Vec<Resize> {
    let mut active: Vec<Arc<ReplicaSet>> = sets.active().into_iter().cloned().collect();
    let total: i32 = active.iter().map(|set| sets::replicas(set)).sum();
    let allowed = if bounds.replicas > 0 { bounds.most() } else { 0 };
    let add = allowed - total;
    // Among equals the newest grows first and the oldest shrinks first.
    if add > 0 {
        active.sort_by(|a, b| {
            sets::replicas(b).cmp(&sets::replicas(a)).then(Reverse(sets::age(a)).cmp(&Reverse(sets::age(b))))
        });
    } else {
        active.sort_by(|a, b| sets::replicas(b).cmp(&sets::replicas(a)).then(sets::age(a).cmp(&sets::age(b))));
    }
    let mut added = 0;
    let mut resized: Vec<Resize> = active
        .iter()
        .map(|set| {
            let share = if add == 0 { 0 } else { share(bounds, set, present, add - added) };
            added += share;
            Resize::to(set, sets::replicas(set) + share)
        })
        .collect();
    if let Some(largest) = resized.first_mut() {
        largest.replicas = (largest.replicas + add - added).max(0);
    }
    if add < 0 {
        spare_available(&mut resized, bounds.least());
    }
    resized
}

/// Where shares would leave fewer than `least` available pods, sets with pods that are not available shrink instead. Kubernetes does not
/// look at availability here, and may leave too few.
fn spare_available(resized: &mut [Resize], least: i32) {
    let lasting = |resize: &Resize| sets::lasting(&resize.set).min(resize.replicas);
    let lacking = least - resized.iter().map(lasting).sum::<i32>();
    let spare: i32 = resized.iter().map(|resize| resize.replicas - lasting(resize)).sum();
    let moved = lacking.min(spare);
    let (mut taken, mut given) = (moved, moved);
    for resize in resized {
        let down = (resize.replicas - lasting(resize)).clamp(0, taken.max(0));
        let up = (sets::lasting(&resize.set) - resize.replicas).clamp(0, given.max(0));
        (taken, given) = (taken - down, given - up);
        resize.replicas += up - down;
    }
}

/// By how much a set changes; never more than `left`, in its direction.
fn share(bounds: &Bounds, set: &ReplicaSet, present: i32, left: i32) -> i32 {
    let size = sets::replicas(set);
    if size == 0 || left == 0 {
        return 0;
    }
    let share = if bounds.replicas == 0 {
        -size
    } else {
        let before = annotations::max_replicas(set).filter(|max| *max > 0).unwrap_or(present).max(1);
        let exact = f64::from(size) * f64::from(bounds.most()) / f64::from(before);
        // Saturates, and cannot be NaN as `before` is positive.
        (exact.round() as i32).saturating_sub(size)
    };
    if left > 0 { share.min(left) } else { share.max(left) }
}

#[cfg(test)]
mod tests {
    use super::{super::sets::testing::set, *};

    fn sized_for(mut set: Arc<ReplicaSet>, bounds: &Bounds) -> Arc<ReplicaSet> {
        annotations::set_scale(Arc::make_mut(&mut set), bounds);
        set
    }

    fn scaled(from: i32, to: i32, new: i32, old: &[i32]) -> Vec<(String, i32)> {
        let bounds = |replicas| Bounds { replicas, max_surge: 0, max_unavailable: 1, rolling: true };
        let old =
            old.iter().zip(0..).map(|(size, n)| sized_for(set(&format!("old-{n}"), n, *size, *size), &bounds(from)));
        let sets = Sets { new: Some(sized_for(set("new", 30, new, new), &bounds(from))), old: old.collect() };
        let named = |resize: Resize| (resize.set.metadata.name.clone().unwrap(), resize.replicas);
        resize(&bounds(to), &sets, from).into_iter().map(named).collect()
    }

    #[test]
    fn growth_is_shared_by_size() {
        assert_eq!(scaled(10, 20, 5, &[5]), [("new".to_owned(), 10), ("old-0".to_owned(), 10)]);
        assert_eq!(scaled(10, 15, 2, &[8]), [("old-0".to_owned(), 12), ("new".to_owned(), 3)]);
    }

    #[test]
    fn the_largest_takes_the_rest() {
        assert_eq!(scaled(3, 4, 1, &[1, 1]).iter().map(|(_, size)| size).sum::<i32>(), 4);
        assert_eq!(scaled(10, 5, 1, &[9]), [("old-0".to_owned(), 4), ("new".to_owned(), 1)]);
    }

    #[test]
    fn pods_that_are_not_available_go_before_available_ones_that_are_needed() {
        let bounds = |replicas| Bounds { replicas, max_surge: 1, max_unavailable: 0, rolling: true };
        let new = sized_for(set("new", 30, 2, 0), &bounds(4));
        let old = sized_for(set("old", 1, 3, 3), &bounds(4));
        let sets = Sets { new: Some(new), old: vec![old] };
        let sizes: Vec<_> = resize(&bounds(3), &sets, 5).into_iter().map(|resize| resize.replicas).collect();
        assert_eq!(sizes, [3, 1]);
    }

    #[test]
    fn scale_to_nothing_empties_all() {
        assert_eq!(scaled(10, 0, 5, &[5]), [("old-0".to_owned(), 0), ("new".to_owned(), 0)]);
    }
}
