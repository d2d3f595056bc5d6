//! ResourceSlices (`pkg/registry/resource/resourceslice`).

mod capacity;
mod counters;
mod device;

use jiff::Timestamp;
use k8s_openapi::{
    api::resource::v1::{CounterSet, Device, ResourceSlice, ResourceSliceSpec},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde_json::{Value, json};

use super::{
    column::{self, text},
    device::{driver, pool, set},
    pod,
    resource_claim::Name,
};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::name,
};

/// The most devices of a slice, and of one whose devices have taints or share counters.
const MAX_DEVICES: usize = 128;
const MAX_ADVANCED_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;

/// The rules of slices of pools of devices.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceSlices;

/// The row of slices of pools of devices.
pub fn row() -> Resource {
    new_row(ResourceSlices).cluster_scoped()
}

impl Strategy for ResourceSlices {
    type Object = ResourceSlice;
    type Wire = ResourceSlice;

    fn prepare_for_create(&self, ctx: &RequestContext, slice: &mut ResourceSlice) {
        date_taints(slice, ctx.now);
    }

    fn prepare_for_update(&self, ctx: &RequestContext, new: &mut ResourceSlice, _old: &ResourceSlice) {
        date_taints(new, ctx.now);
    }

    fn validate(&self, _ctx: &RequestContext, slice: &ResourceSlice) -> Errors {
        validate(&slice.spec, None)
    }

    fn validate_update(&self, _ctx: &RequestContext, new: &ResourceSlice, old: &ResourceSlice) -> Errors {
        validate(&new.spec, Some(&old.spec))
    }

    fn changes_generation(&self, new: &ResourceSlice, old: &ResourceSlice) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["spec.nodeName", "spec.driver"]
    }

    fn fields(&self, slice: &ResourceSlice) -> Vec<String> {
        vec![slice.spec.node_name.clone().unwrap_or_default(), slice.spec.driver.clone()]
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, slice: &ResourceSlice, now: Timestamp) -> Vec<Value> {
        let (metadata, spec) = (&slice.metadata, &slice.spec);
        vec![
            json!(metadata.name),
            json!(spec.node_name.as_deref().unwrap_or(column::UNSET)),
            json!(spec.driver),
            json!(spec.pool.name),
            json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

/// A taint without a time is one from now on.
fn date_taints(slice: &mut ResourceSlice, now: Timestamp) {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    for taint in slice.spec.devices.iter_mut().flatten().flat_map(|device| device.taints.iter_mut().flatten()) {
        taint.time_added.get_or_insert(Time(now));
    }
}

fn validate(spec: &ResourceSliceSpec, old: Option<&ResourceSliceSpec>) -> Errors {
    let path = Path::new("spec");
    let mut errors = driver(&spec.driver, &path.child("driver"));
    errors.extend(pool_of(spec, &path.child("pool")));
    if let Some(old) = old {
        errors.extend(immutable(spec, old, &path));
    }
    errors.extend(nodes(spec, &path));
    if spec.shared_counters.is_some() && spec.devices.is_some() {
        errors.push(Error::invalid(&path, "", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let devices = spec.devices.as_deref();
    let is_advanced = |device: &Device| {
        device.taints.as_ref().is_some_and(|taints| !taints.is_empty())
            || device.consumes_counters.as_ref().is_some_and(|counters| !counters.is_empty())
    };
    let advanced = devices.is_some_and(|devices| devices.iter().any(is_advanced));
    let most = if advanced { MAX_ADVANCED_DEVICES } else { MAX_DEVICES };
    let per_device = spec.per_device_node_selection.unwrap_or_default();
    let check = |one: &Device, path: &Path| {
        let before = old.iter().flat_map(|old| old.devices.iter().flatten()).find(|before| before.name == one.name);
        device::validate(one, before, per_device, path)
    };
    errors.extend(set(devices, most, &path.child("devices"), |device| Name(device.name.clone()), check));
    let counters = spec.shared_counters.as_deref();
    let key = |set: &CounterSet| Name(set.name.clone());
    errors.extend(set(counters, MAX_COUNTER_SETS, &path.child("sharedCounters"), key, counters::shared));
    errors
}

fn pool_of(spec: &ResourceSliceSpec, path: &Path) -> Errors {
    let mut errors = pool(&spec.pool.name, &path.child("name"));
    if spec.pool.resource_slice_count <= 0 {
        let path = path.child("resourceSliceCount");
        errors.push(Error::invalid(&path, spec.pool.resource_slice_count, "must be greater than zero"));
    }
    if spec.pool.generation < 0 {
        let path = path.child("generation");
        errors.push(Error::invalid(&path, spec.pool.generation, "must be greater than or equal to zero"));
    }
    errors
}

fn immutable(new: &ResourceSliceSpec, old: &ResourceSliceSpec, path: &Path) -> Errors {
    let fields = [
        ("pool.name", new.pool.name == old.pool.name, Shown::from(&new.pool.name)),
        ("driver", new.driver == old.driver, Shown::from(&new.driver)),
        ("nodeName", new.node_name == old.node_name, Shown::json(&new.node_name)),
    ];
    let changed = fields.into_iter().filter(|(_, same, _)| !same);
    changed.map(|(field, _, value)| Error::invalid(&path.child(field), value, "field is immutable")).collect()
}

/// Where the devices of a slice can be used: one of four ways.
fn nodes(spec: &ResourceSliceSpec, path: &Path) -> Errors {
    const ONE_OF: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    let (mut errors, mut ways) = (Errors::new(), Vec::new());
    match spec.node_name.as_deref() {
        None => {}
        Some("") => {
            let why = "must be either unset or set to a non-empty string";
            errors.push(Error::invalid(&path.child("nodeName"), "", why));
        }
        Some(node) => {
            ways.push("`nodeName`");
            errors.extend(node_name(node, &path.child("nodeName")));
        }
    }
    if let Some(selector) = &spec.node_selector {
        ways.push("`nodeSelector`");
        let path = path.child("nodeSelector");
        pod::node_selector(selector, &path, &mut errors);
        if selector.node_selector_terms.len() != 1 {
            let terms = Shown::json(&selector.node_selector_terms);
            let why = "must have exactly one node selector term";
            errors.push(Error::invalid(&path.child("nodeSelectorTerms"), terms, why));
        }
    }
    let flags = [
        ("allNodes", "`allNodes`", spec.all_nodes),
        ("perDeviceNodeSelection", "`perDeviceNodeSelection`", spec.per_device_node_selection),
    ];
    for (field, way, flag) in flags {
        match flag {
            None => {}
            Some(true) => ways.push(way),
            Some(false) => {
                errors.push(Error::invalid(&path.child(field), false, "must be either unset or set to true"));
            }
        }
    }
    match ways.as_slice() {
        [] => errors.push(Error::required(path, ONE_OF)),
        [_] => {}
        several => {
            let (shown, why) =
                (format!("{{{}}}", several.join(", ")), format!("{ONE_OF}, but multiple fields are set"));
            errors.push(Error::invalid(path, &shown, why));
        }
    }
    errors
}

fn node_name(node: &str, path: &Path) -> Option<Error> {
    name::subdomain(node, false).map(|why| Error::invalid(path, node, why))
}

const COLUMNS: &[Column] = &[
    column::NAME,
    text(
        "Node",
        "NodeName identifies the node which provides the resources in this pool. A field selector can be used to list only ResourceSlice objects belonging to a certain node.\n\nThis field can be used to limit access from nodes to ResourceSlices with the same node name. It also indicates to autoscalers that adding new nodes of the same type as some old node might also make new resources available.\n\nExactly one of NodeName, NodeSelector, AllNodes, and PerDeviceNodeSelection must be set. This field is immutable.",
    ),
    text(
        "Driver",
        "Driver identifies the DRA driver providing the capacity information. A field selector can be used to list only ResourceSlice objects with a certain driver name.\n\nMust be a DNS subdomain and should end with a DNS domain owned by the vendor of the driver. It should use only lower case characters. This field is immutable.",
    ),
    text(
        "Pool",
        "Name is used to identify the pool. For node-local devices, this is often the node name, but this is not required.\n\nIt must not be longer than 253 characters and must consist of one or more DNS sub-domains separated by slashes. This field is immutable.",
    ),
    column::AGE,
];

#[cfg(test)]
mod tests;
