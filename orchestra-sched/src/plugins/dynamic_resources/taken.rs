//! Which devices are taken, and how much of those that are shared.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};
use orchestra_core::{device::allocation, quantity::Quantity, scheduler::Snapshot};

use super::inventory::id;

/// Amounts by the name of a capacity.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// What claims have.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken {
    generation: u64,
    /// Devices that one claim has alone.
    whole: BTreeSet<String>,
    /// How much of others is taken.
    shared: BTreeMap<String, Amounts>,
}

impl Taken {
    pub(super) fn is_of(&self, snapshot: &Snapshot) -> bool {
        self.generation == snapshot.objects().generation::<ResourceClaim>()
    }

    /// What the claims of a snapshot have, without those of which the API server has not told yet.
    pub(super) fn read(snapshot: &Snapshot) -> Self {
        let objects = snapshot.objects();
        let mut taken = Self { generation: objects.generation::<ResourceClaim>(), ..Self::default() };
        objects.iter::<ResourceClaim>().filter_map(|claim| allocation(claim)).for_each(|one| taken.add(one));
        taken
    }

    /// Access for administration takes nothing.
    pub(super) fn add(&mut self, allocation: &AllocationResult) {
        let results = allocation.devices.iter().flat_map(|devices| devices.results.iter().flatten());
        for result in results.filter(|result| result.admin_access != Some(true)) {
            let id = id(&result.driver, &result.pool, &result.device);
            if result.share_id.is_none() {
                self.whole.insert(id);
                continue;
            }
            let amounts = self.shared.entry(id).or_default();
            for (name, amount) in result.consumed_capacity.iter().flatten() {
                let sum = amounts.entry(name.clone()).or_default();
                *sum = *sum + amount.try_into().unwrap_or_default();
            }
        }
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.whole.contains(id)
    }

    /// How much of a shared device is taken; `None` if nobody shares it.
    pub(super) fn of(&self, id: &str) -> Option<&Amounts> {
        self.shared.get(id)
    }
}
