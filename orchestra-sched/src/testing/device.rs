//! Devices, their classes and pools, and claims of them.

use std::fmt::Display;

use k8s_openapi::{
    api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm},
    api::resource::v1::{
        self as api, AllocatedDeviceStatus, AllocationResult, CELDeviceSelector, CounterSet, Device,
        DeviceAllocationResult, DeviceAttribute, DeviceCapacity, DeviceClass, DeviceConstraint,
        DeviceCounterConsumption, DeviceRequest, DeviceRequestAllocationResult, DeviceSelector, DeviceSubRequest,
        DeviceTaint, DeviceToleration, ExactDeviceRequest, ResourceClaim, ResourceSlice,
    },
    apimachinery::pkg::{
        apis::meta::v1::{Condition, Time},
        runtime::RawExtension,
    },
    jiff::Timestamp,
};
use orchestra_core::device::pod_user;
use serde_json::Value;

use super::words;

/// A class of devices, of all that there are as long as nothing is selected.
///
/// ```
/// use orchestra_sched::{framework::Framework, testing::{TestCluster, device, device_class, node, pod, resource_claim, resource_slice}};
/// let mut cluster = TestCluster::new()
///     .nodes([node("n1"), node("n2")])
///     .object(device_class("gpu").selector("device.driver == 'gpu.example.com'").build())
///     .object(resource_slice("gpu.example.com", "n2").device(device("gpu-0").attribute("model", "a100")).build())
///     .object(resource_claim("mine").request("r", "gpu").build())
///     .object(resource_claim("yours").request("r", "gpu").build());
/// let scheduler = Framework::kubernetes();
/// cluster.place(&scheduler, pod("a").devices("mine")).assert_bound("n2");
/// cluster.place(&scheduler, pod("b").devices("yours")).assert_unschedulable("2 cannot allocate all claims");
/// ```
pub fn device_class(name: impl Into<String>) -> DeviceClassBuilder {
    let mut class = DeviceClass::default();
    class.metadata.name = Some(name.into());
    DeviceClassBuilder { class }
}

/// Makes a class of devices; begun by [`device_class`].
#[derive(Clone, Debug)]
pub struct DeviceClassBuilder {
    class: DeviceClass,
}

impl DeviceClassBuilder {
    /// A CEL expression that has to be true of a device.
    #[must_use]
    pub fn selector(mut self, expression: impl Into<String>) -> Self {
        self.class.spec.selectors.get_or_insert_default().push(selector(expression));
        self
    }

    /// The extended resource that its devices provide: `example.com/gpu`.
    #[must_use]
    pub fn extended_resource(mut self, name: impl Into<String>) -> Self {
        self.class.spec.extended_resource_name = Some(name.into());
        self
    }

    /// What the driver is told of each device of the class.
    #[must_use]
    pub fn config(mut self, driver: &str, parameters: Value) -> Self {
        let config = api::DeviceClassConfiguration { opaque: Some(opaque(driver, parameters)) };
        self.class.spec.config.get_or_insert_default().push(config);
        self
    }

    /// The API object.
    pub fn build(self) -> DeviceClass {
        self.class
    }
}

fn selector(expression: impl Into<String>) -> DeviceSelector {
    DeviceSelector { cel: Some(CELDeviceSelector { expression: expression.into() }) }
}

fn opaque(driver: &str, parameters: Value) -> api::OpaqueDeviceConfiguration {
    let parameters = RawExtension(parameters);
    api::OpaqueDeviceConfiguration { driver: driver.to_owned(), parameters }
}

/// A device of a slice.
pub fn device(name: impl Into<String>) -> DeviceBuilder {
    DeviceBuilder { device: Device { name: name.into(), ..Device::default() } }
}

/// Makes a device; begun by [`device`].
///
/// # Panics
/// Its methods panic, at the line that calls them, where a text cannot be read.
#[derive(Clone, Debug)]
pub struct DeviceBuilder {
    device: Device,
}

impl DeviceBuilder {
    /// An attribute that is a text.
    #[must_use]
    pub fn attribute(self, name: &str, value: impl Into<String>) -> Self {
        self.value(name, DeviceAttribute { string: Some(value.into()), ..DeviceAttribute::default() })
    }

    /// An attribute that is a number.
    #[must_use]
    pub fn number(self, name: &str, value: i64) -> Self {
        self.value(name, DeviceAttribute { int: Some(value), ..DeviceAttribute::default() })
    }

    fn value(mut self, name: &str, value: DeviceAttribute) -> Self {
        self.device.attributes.get_or_insert_default().insert(name.to_owned(), value);
        self
    }

    /// How much it has of something: `"40Gi"`.
    #[must_use]
    #[track_caller]
    pub fn capacity(mut self, name: &str, amount: impl Display) -> Self {
        let capacity = DeviceCapacity { value: words::quantity(amount), request_policy: None };
        self.device.capacity.get_or_insert_default().insert(name.to_owned(), capacity);
        self
    }

    /// Several claims may share it, each with a part of its capacity.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.device.allow_multiple_allocations = Some(true);
        self
    }

    /// What it takes of a counter that devices of its pool share.
    #[must_use]
    #[track_caller]
    pub fn consumes(mut self, set: &str, counter: &str, amount: impl Display) -> Self {
        let counter = (counter.to_owned(), api::Counter { value: words::quantity(amount) });
        let consumption = DeviceCounterConsumption { counter_set: set.to_owned(), counters: [counter].into() };
        self.device.consumes_counters.get_or_insert_default().push(consumption);
        self
    }

    /// A taint: `key=value:NoSchedule`, `key:NoExecute`.
    #[must_use]
    #[track_caller]
    pub fn taint(mut self, taint: &str) -> Self {
        let taint = words::taint(taint);
        let taint = DeviceTaint { effect: taint.effect, key: taint.key, value: taint.value, time_added: None };
        self.device.taints.get_or_insert_default().push(taint);
        self
    }

    /// Which conditions have to be true before a pod that uses it is bound, and which mean that they will not be.
    #[must_use]
    pub fn binding_conditions(mut self, ready: &[&str], failed: &[&str]) -> Self {
        (self.device.binding_conditions, self.device.binding_failure_conditions) = (texts(ready), texts(failed));
        self
    }

    /// Changes whatever there is no method for.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Device)) -> Self {
        change(&mut self.device);
        self
    }

    /// The API object.
    pub fn build(self) -> Device {
        self.device
    }
}

fn texts(texts: &[&str]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.iter().map(|text| (*text).to_owned()).collect())
}

/// A slice with the devices of a driver on a node: all of the pool that is called like the node.
pub fn resource_slice(driver: &str, node: &str) -> ResourceSliceBuilder {
    let mut slice = ResourceSlice::default();
    slice.metadata.name = Some(format!("{node}-{driver}"));
    slice.spec.driver = driver.to_owned();
    slice.spec.node_name = Some(node.to_owned());
    slice.spec.pool = api::ResourcePool { generation: 1, name: node.to_owned(), resource_slice_count: 1 };
    ResourceSliceBuilder { slice }
}

/// Makes a slice of a pool; begun by [`resource_slice`].
#[derive(Clone, Debug)]
pub struct ResourceSliceBuilder {
    slice: ResourceSlice,
}

impl ResourceSliceBuilder {
    /// Its name, if that is not `node-driver`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.slice.metadata.name = Some(name.into());
        self
    }

    /// A device.
    #[must_use]
    pub fn device(mut self, device: DeviceBuilder) -> Self {
        self.slice.spec.devices.get_or_insert_default().push(device.build());
        self
    }

    /// So many devices, called `prefix-0`, `prefix-1`...
    #[must_use]
    pub fn devices(self, prefix: &str, count: usize) -> Self {
        (0..count).fold(self, |slice, index| slice.device(device(format!("{prefix}-{index}"))))
    }

    /// The pool that it is of, which generation of it, and how many slices that has.
    #[must_use]
    pub fn pool(mut self, name: impl Into<String>, generation: i64, slices: i64) -> Self {
        self.slice.spec.pool = api::ResourcePool { generation, name: name.into(), resource_slice_count: slices };
        self
    }

    /// All nodes can use its devices.
    #[must_use]
    pub fn on_all_nodes(mut self) -> Self {
        (self.slice.spec.node_name, self.slice.spec.all_nodes) = (None, Some(true));
        self
    }

    /// The nodes can use its devices whose labels are like this: `zone=a`, `disk in (ssd,nvme)`.
    #[must_use]
    #[track_caller]
    pub fn on_nodes(mut self, labels: &str) -> Self {
        let term = NodeSelectorTerm { match_expressions: Some(words::node_requirements(labels)), match_fields: None };
        self.slice.spec.node_name = None;
        self.slice.spec.node_selector = Some(NodeSelector { node_selector_terms: vec![term] });
        self
    }

    /// Each device says which nodes can use it.
    #[must_use]
    pub fn per_device(mut self) -> Self {
        (self.slice.spec.node_name, self.slice.spec.per_device_node_selection) = (None, Some(true));
        self
    }

    /// A counter that devices of the pool share, in a set of that name.
    #[must_use]
    #[track_caller]
    pub fn counter(mut self, set: &str, counter: &str, amount: impl Display) -> Self {
        let counter = (counter.to_owned(), api::Counter { value: words::quantity(amount) });
        let set = CounterSet { name: set.to_owned(), counters: [counter].into() };
        self.slice.spec.shared_counters.get_or_insert_default().push(set);
        self
    }

    /// The API object.
    pub fn build(self) -> ResourceSlice {
        self.slice
    }
}

/// A claim of devices in namespace `default`, which asks for nothing yet.
pub fn resource_claim(name: impl Into<String>) -> ResourceClaimBuilder {
    let mut claim = ResourceClaim::default();
    let name = name.into();
    claim.metadata.uid = Some(format!("claim/{name}"));
    claim.metadata.name = Some(name);
    claim.metadata.namespace = Some("default".to_owned());
    ResourceClaimBuilder { claim }
}

/// Makes a claim; begun by [`resource_claim`].
///
/// # Panics
/// What changes a request panics if there is none yet.
#[derive(Clone, Debug)]
pub struct ResourceClaimBuilder {
    claim: ResourceClaim,
}

impl ResourceClaimBuilder {
    /// A request for a device of a class; what follows changes it.
    #[must_use]
    pub fn request(self, name: &str, class: &str) -> Self {
        let exactly = ExactDeviceRequest {
            device_class_name: class.to_owned(),
            allocation_mode: Some("ExactCount".to_owned()),
            count: Some(1),
            ..ExactDeviceRequest::default()
        };
        self.add(DeviceRequest { name: name.to_owned(), exactly: Some(exactly), first_available: None })
    }

    /// A request for the first that can be had: so many devices of a class each, by name.
    #[must_use]
    pub fn first_available(self, name: &str, alternatives: &[(&str, &str, i64)]) -> Self {
        let one = |(name, class, count): &(&str, &str, i64)| DeviceSubRequest {
            name: (*name).to_owned(),
            device_class_name: (*class).to_owned(),
            allocation_mode: Some("ExactCount".to_owned()),
            count: Some(*count),
            ..DeviceSubRequest::default()
        };
        let first_available = Some(alternatives.iter().map(one).collect());
        self.add(DeviceRequest { name: name.to_owned(), exactly: None, first_available })
    }

    fn add(mut self, request: DeviceRequest) -> Self {
        self.claim.spec.devices.get_or_insert_default().requests.get_or_insert_default().push(request);
        self
    }

    #[track_caller]
    fn change(mut self, change: impl FnOnce(&mut ExactDeviceRequest)) -> Self {
        let requests = self.claim.spec.devices.get_or_insert_default().requests.get_or_insert_default();
        let last = requests.last_mut().and_then(|request| request.exactly.as_mut());
        change(last.expect("begin with a request"));
        self
    }

    /// So many devices.
    #[must_use]
    #[track_caller]
    pub fn count(self, count: i64) -> Self {
        self.change(|request| request.count = Some(count))
    }

    /// All devices that are selected.
    #[must_use]
    #[track_caller]
    pub fn all(self) -> Self {
        self.change(|request| (request.allocation_mode, request.count) = (Some("All".to_owned()), None))
    }

    /// A CEL expression that has to be true of a device.
    #[must_use]
    #[track_caller]
    pub fn selector(self, expression: impl Into<String>) -> Self {
        self.change(|request| request.selectors.get_or_insert_default().push(selector(expression)))
    }

    /// Devices that others use are fine.
    #[must_use]
    #[track_caller]
    pub fn admin_access(self) -> Self {
        self.change(|request| request.admin_access = Some(true))
    }

    /// How much of a capacity of a device that is shared.
    #[must_use]
    #[track_caller]
    pub fn capacity(self, name: &str, amount: impl Display) -> Self {
        let amount = words::quantity(amount);
        self.change(|request| {
            let capacity = request.capacity.get_or_insert_default();
            capacity.requests.get_or_insert_default().insert(name.to_owned(), amount);
        })
    }

    /// A taint of devices that it tolerates: `key=value:NoSchedule`; without value any value, without effect any effect.
    #[must_use]
    #[track_caller]
    pub fn tolerate(self, toleration: &str) -> Self {
        let toleration = words::toleration(toleration);
        let toleration = DeviceToleration {
            effect: toleration.effect,
            key: toleration.key,
            operator: toleration.operator,
            value: toleration.value,
            toleration_seconds: None,
        };
        self.change(|request| request.tolerations.get_or_insert_default().push(toleration))
    }

    /// The devices of these requests, of all if none is named, have the same value of an attribute.
    #[must_use]
    pub fn matching(self, attribute: &str, requests: &[&str]) -> Self {
        self.constraint(requests, |constraint| constraint.match_attribute = Some(attribute.to_owned()))
    }

    /// No two of the devices of these requests have the same value of an attribute.
    #[must_use]
    pub fn distinct(self, attribute: &str, requests: &[&str]) -> Self {
        self.constraint(requests, |constraint| constraint.distinct_attribute = Some(attribute.to_owned()))
    }

    fn constraint(mut self, requests: &[&str], say: impl FnOnce(&mut DeviceConstraint)) -> Self {
        let names: Vec<String> = requests.iter().map(|name| (*name).to_owned()).collect();
        let requests = (!names.is_empty()).then_some(names);
        let mut constraint = DeviceConstraint { requests, ..DeviceConstraint::default() };
        say(&mut constraint);
        self.claim.spec.devices.get_or_insert_default().constraints.get_or_insert_default().push(constraint);
        self
    }

    /// What the driver is told of the devices of these requests, of all if none is named.
    #[must_use]
    pub fn config(mut self, driver: &str, parameters: Value, requests: &[&str]) -> Self {
        let names: Vec<String> = requests.iter().map(|name| (*name).to_owned()).collect();
        let config = api::DeviceClaimConfiguration {
            opaque: Some(opaque(driver, parameters)),
            requests: (!names.is_empty()).then_some(names),
        };
        self.claim.spec.devices.get_or_insert_default().config.get_or_insert_default().push(config);
        self
    }

    /// A device that it has: `driver/pool/device`. It can be used on the node that the pool is called after.
    #[must_use]
    #[track_caller]
    pub fn allocated(mut self, device: &str) -> Self {
        let parts: Vec<&str> = device.split('/').collect();
        let [driver, pool, device] = parts.as_slice() else { panic!("{device:?} is not driver/pool/device") };
        let result = DeviceRequestAllocationResult {
            request: "r".to_owned(),
            driver: (*driver).to_owned(),
            pool: (*pool).to_owned(),
            device: (*device).to_owned(),
            ..DeviceRequestAllocationResult::default()
        };
        let name = NodeSelectorRequirement {
            key: "metadata.name".to_owned(),
            operator: "In".to_owned(),
            values: Some(vec![(*pool).to_owned()]),
        };
        let term = NodeSelectorTerm { match_fields: Some(vec![name]), match_expressions: None };
        self.claim.status.get_or_insert_default().allocation = Some(AllocationResult {
            devices: Some(DeviceAllocationResult { config: None, results: Some(vec![result]) }),
            node_selector: Some(NodeSelector { node_selector_terms: vec![term] }),
            allocation_timestamp: None,
        });
        self
    }

    /// The devices that it has have to become ready, as [`DeviceBuilder::binding_conditions`].
    #[must_use]
    pub fn binding_conditions(mut self, ready: &[&str], failed: &[&str]) -> Self {
        for result in self.results() {
            (result.binding_conditions, result.binding_failure_conditions) = (texts(ready), texts(failed));
        }
        self
    }

    /// When it got them.
    #[must_use]
    pub fn allocated_at(mut self, time: Timestamp) -> Self {
        let allocation = self.claim.status.as_mut().and_then(|status| status.allocation.as_mut());
        allocation.into_iter().for_each(|allocation| allocation.allocation_timestamp = Some(Time(time)));
        self
    }

    /// What the driver says of each of them: whether these conditions are true.
    #[must_use]
    pub fn device_conditions(mut self, conditions: &[(&str, bool)]) -> Self {
        let condition = |(kind, is_true): &(&str, bool)| Condition {
            type_: (*kind).to_owned(),
            status: if *is_true { "True" } else { "False" }.to_owned(),
            reason: "Told".to_owned(),
            message: format!("it is {kind}"),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        let conditions: Vec<Condition> = conditions.iter().map(condition).collect();
        let status = |result: &mut DeviceRequestAllocationResult| AllocatedDeviceStatus {
            driver: result.driver.clone(),
            pool: result.pool.clone(),
            device: result.device.clone(),
            conditions: Some(conditions.clone()),
            ..AllocatedDeviceStatus::default()
        };
        let devices: Vec<_> = self.results().map(status).collect();
        self.claim.status.get_or_insert_default().devices = Some(devices);
        self
    }

    fn results(&mut self) -> impl Iterator<Item = &mut DeviceRequestAllocationResult> {
        let allocation = self.claim.status.as_mut().and_then(|status| status.allocation.as_mut());
        let devices = allocation.and_then(|allocation| allocation.devices.as_mut());
        devices.into_iter().flat_map(|devices| devices.results.iter_mut().flatten())
    }

    /// The pod, by its uid, that uses it.
    #[must_use]
    pub fn reserved_for(mut self, uid: impl Into<String>) -> Self {
        let uid = uid.into();
        let users = self.claim.status.get_or_insert_default().reserved_for.get_or_insert_default();
        users.push(pod_user(&uid, &uid));
        self
    }

    /// Changes whatever there is no method for.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut ResourceClaim)) -> Self {
        change(&mut self.claim);
        self
    }

    /// The API object.
    pub fn build(self) -> ResourceClaim {
        self.claim
    }
}
