//! All pools of devices, read once for each state of the slices.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::NodeSelector,
    resource::v1::{Device, ResourceSlice},
};
use orchestra_core::{
    quantity::Quantity,
    scheduler::{NodeInfo, Objects},
    selector::node,
};

/// The pools of a cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    generation: u64,
    pools: Vec<Pool>,
    /// The pools with slices of one node alone, by its name.
    of_node: BTreeMap<String, BTreeSet<usize>>,
    /// The others.
    shared: BTreeSet<usize>,
}

/// A pool, as its newest generation of slices has it.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub(super) driver: String,
    pub(super) name: String,
    pub(super) slices: Vec<Arc<ResourceSlice>>,
    /// Not all slices are there yet.
    pub(super) is_incomplete: bool,
    /// Its slices contradict each other.
    pub(super) is_invalid: bool,
    /// What its devices share, by counter set and counter.
    pub(super) counters: BTreeMap<(String, String), Quantity>,
}

/// A device that a node can use.
#[derive(Clone)]
pub(super) struct Candidate<'a> {
    /// `driver/pool/device`.
    pub(super) id: Arc<str>,
    pub(super) device: &'a Device,
    pub(super) slice: &'a ResourceSlice,
    /// Where its pool stands among those of the node.
    pub(super) pool: usize,
}

/// `driver/pool/device`, which names a device once: neither drivers nor devices have slashes in their names.
pub(super) fn id(driver: &str, pool: &str, device: &str) -> String {
    format!("{driver}/{pool}/{device}")
}

impl Inventory {
    pub(super) fn is_of(&self, objects: &Objects) -> bool {
        self.generation == objects.generation::<ResourceSlice>()
    }

    pub(super) fn read(objects: &Objects) -> Self {
        let mut pools: BTreeMap<(&str, &str), Vec<&Arc<ResourceSlice>>> = BTreeMap::new();
        for slice in objects.iter::<ResourceSlice>() {
            pools.entry((&slice.spec.driver, &slice.spec.pool.name)).or_default().push(slice);
        }
        let pools: Vec<Pool> = pools.into_values().filter_map(|slices| Pool::of(&slices)).collect();
        let (mut of_node, mut shared): (BTreeMap<String, BTreeSet<usize>>, _) = (BTreeMap::new(), BTreeSet::new());
        for (index, pool) in pools.iter().enumerate() {
            for slice in &pool.slices {
                match &slice.spec.node_name {
                    Some(node) => drop(of_node.entry(node.clone()).or_default().insert(index)),
                    None => drop(shared.insert(index)),
                }
            }
        }
        Self { generation: objects.generation::<ResourceSlice>(), pools, of_node, shared }
    }

    /// The pools with devices that `node` can use, in order of their drivers and names, with those devices. Pools with devices that have to
    /// become ready first come last.
    pub(super) fn on<'a>(&'a self, node: &NodeInfo) -> (Vec<&'a Pool>, Vec<Candidate<'a>>) {
        let local = self.of_node.get(&**node.name());
        let indexes: BTreeSet<usize> = local.into_iter().flatten().chain(&self.shared).copied().collect();
        let (mut pools, mut candidates) = (Vec::new(), Vec::new());
        let reached = |index| {
            let pool: &Pool = self.pools.get(index)?;
            let slices: Vec<_> = pool.slices.iter().filter(|slice| reaches(slice, node)).collect();
            (!slices.is_empty()).then_some((pool, slices))
        };
        let mut reached: Vec<_> = indexes.into_iter().filter_map(reached).collect();
        let has_conditions = |slices: &[&Arc<ResourceSlice>]| {
            let mut devices = slices.iter().flat_map(|slice| slice.spec.devices.iter().flatten());
            devices.any(|device| device.binding_conditions.is_some())
        };
        reached.sort_by_key(|(_, slices)| has_conditions(slices));
        for (pool, slices) in reached {
            for slice in slices {
                let devices = slice.spec.devices.iter().flatten().filter(|device| has_device(slice, device, node));
                candidates.extend(devices.map(|device| Candidate {
                    id: id(&pool.driver, &pool.name, &device.name).into(),
                    device,
                    slice,
                    pool: pools.len(),
                }));
            }
            pools.push(pool);
        }
        (pools, candidates)
    }
}

impl Pool {
    fn of(slices: &[&Arc<ResourceSlice>]) -> Option<Self> {
        let newest = slices.iter().map(|slice| slice.spec.pool.generation).max()?;
        let is_new = |slice: &&&Arc<ResourceSlice>| slice.spec.pool.generation == newest;
        let slices: Vec<Arc<ResourceSlice>> = slices.iter().filter(is_new).map(|slice| Arc::clone(slice)).collect();
        let spec = &slices.first()?.spec;
        let counters = counters(&slices);
        Some(Self {
            driver: spec.driver.clone(),
            name: spec.pool.name.clone(),
            is_incomplete: i64::try_from(slices.len()) != Ok(spec.pool.resource_slice_count),
            is_invalid: contradicts_itself(&slices, &counters),
            counters,
            slices,
        })
    }

    pub(super) fn devices(&self) -> impl Iterator<Item = &Device> {
        self.slices.iter().flat_map(|slice| slice.spec.devices.iter().flatten())
    }
}

fn counters(slices: &[Arc<ResourceSlice>]) -> BTreeMap<(String, String), Quantity> {
    let sets = slices.iter().flat_map(|slice| slice.spec.shared_counters.iter().flatten());
    let counters = sets.flat_map(|set| set.counters.iter().map(move |(name, counter)| (set, name, counter)));
    let key = |set: &str, name: &str| (set.to_owned(), name.to_owned());
    counters
        .map(|(set, name, counter)| (key(&set.name, name), (&counter.value).try_into().unwrap_or_default()))
        .collect()
}

/// Whether two devices have one name, or one consumes what is not there.
fn contradicts_itself(slices: &[Arc<ResourceSlice>], counters: &BTreeMap<(String, String), Quantity>) -> bool {
    let mut names = BTreeSet::new();
    let mut devices = slices.iter().flat_map(|slice| slice.spec.devices.iter().flatten());
    devices.any(|device| {
        let mut consumed = device.consumes_counters.iter().flatten().flat_map(|consumption| {
            consumption.counters.keys().map(|name| (consumption.counter_set.clone(), name.clone()))
        });
        !names.insert(&device.name) || consumed.any(|counter| !counters.contains_key(&counter))
    })
}

/// Whether the node can use devices of the slice.
fn reaches(slice: &ResourceSlice, node: &NodeInfo) -> bool {
    let spec = &slice.spec;
    let mut devices = spec.devices.iter().flatten();
    matches(node, spec.node_name.as_deref(), spec.all_nodes, spec.node_selector.as_ref())
        || spec.per_device_node_selection == Some(true) && devices.any(|device| has_device(slice, device, node))
}

/// Whether the node can use this one, if its slice leaves that to each.
fn has_device(slice: &ResourceSlice, device: &Device, node: &NodeInfo) -> bool {
    slice.spec.per_device_node_selection != Some(true)
        || matches(node, device.node_name.as_deref(), device.all_nodes, device.node_selector.as_ref())
}

fn matches(node: &NodeInfo, name: Option<&str>, all: Option<bool>, selector: Option<&NodeSelector>) -> bool {
    match (name, all, selector) {
        (Some(name), ..) => **node.name() == *name,
        (None, Some(true), _) => true,
        (None, _, Some(selector)) => node::selects(selector, node.name(), node.labels()),
        (None, ..) => false,
    }
}
