//! Which claims are in use: kept from one decision to the next.

use std::{collections::HashMap, fmt};

use orchestra_core::{
    ObjectKey,
    scheduler::{NodeInfo, Snapshot},
};
use parking_lot::Mutex;

use super::super::{
    claims::named_claims,
    rows::{Account, Rows},
};

/// How often each claim is named by pods that have a node. Most clusters have no claim for which this is asked, and then nothing is kept.
#[derive(Default)]
pub(super) struct UsedClaims(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    rows: Rows<Vec<ObjectKey>>,
    counts: Counts,
}

#[derive(Default)]
struct Counts(HashMap<ObjectKey, usize>);

impl UsedClaims {
    /// How often pods that have a node in `snapshot` name each of `claims`, in all.
    pub(super) fn count(&self, claims: impl Iterator<Item = ObjectKey>, snapshot: &Snapshot) -> usize {
        let Kept { rows, counts } = &mut *self.0.lock();
        rows.update(snapshot, counts);
        claims.filter_map(|claim| counts.0.get(&claim)).sum()
    }
}

impl Account for Counts {
    type Entry = Vec<ObjectKey>;

    fn put_in(&mut self, node: &NodeInfo) -> Vec<ObjectKey> {
        let of_pod = |pod| named_claims(pod).map(|name| ObjectKey::new(pod.key().namespace(), name));
        let claims: Vec<ObjectKey> = node.pods_with_volumes().flat_map(|pod| of_pod(pod)).collect();
        for claim in &claims {
            *self.0.entry(claim.clone()).or_default() += 1;
        }
        claims
    }

    fn take_out(&mut self, claims: Vec<ObjectKey>) {
        for claim in claims {
            match self.0.get_mut(&claim) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(self.0.remove(&claim)),
            }
        }
    }
}

impl fmt::Debug for UsedClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UsedClaims").finish_non_exhaustive()
    }
}
