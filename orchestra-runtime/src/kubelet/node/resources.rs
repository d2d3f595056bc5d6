//! What a node has, and what of it pods can have.

use std::{collections::BTreeMap, path::Path};

use tracing::warn;

use super::{
    EvictionThresholds, Machine,
    machine::{Filesystem, bytes, filesystem},
    threshold::Signal,
};

/// What a node has unless told otherwise.
const CAPACITY: [(&str, &str); 4] = [("cpu", "4"), ("memory", "8Gi"), ("pods", "110"), ("ephemeral-storage", "100Gi")];

/// Resources by name, as quantities.
type Amounts = BTreeMap<String, String>;

/// Capacity, and what of it is allocatable: all of a simulated node's, and what the thresholds leave of a real one's. What is `given` is
/// both.
pub(in crate::kubelet) fn resources(
    machine: Option<&Machine>,
    folder: Option<&Path>,
    thresholds: &EvictionThresholds,
    given: &Amounts,
) -> (Amounts, Amounts) {
    let mut capacity: Amounts =
        CAPACITY.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut allocatable = capacity.clone();
    if let Some(machine) = machine {
        let storage = storage(folder.unwrap_or(Path::new("/")));
        capacity.extend(machine.capacity(storage));
        allocatable = capacity.clone();
        allocatable.extend(left(machine, storage, thresholds));
    }
    for amounts in [&mut capacity, &mut allocatable] {
        amounts.extend(given.clone());
    }
    (capacity, allocatable)
}

fn left(machine: &Machine, storage: Option<Filesystem>, thresholds: &EvictionThresholds) -> Amounts {
    let reserved = thresholds.least(Signal::MemoryAvailable, machine.memory()).saturating_add(machine.huge_pages());
    let mut left = Amounts::from([("memory".to_owned(), bytes(machine.memory().saturating_sub(reserved)))]);
    if let Some(Filesystem { capacity, .. }) = storage {
        let kept = thresholds.least(Signal::NodefsAvailable, capacity);
        left.insert("ephemeral-storage".to_owned(), bytes(capacity.saturating_sub(kept)));
    }
    left
}

/// The file system that the folder is on, or will be.
fn storage(folder: &Path) -> Option<Filesystem> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    filesystem(there).inspect_err(|error| warn!(folder = %there.display(), %error, "file system not measured")).ok()
}
