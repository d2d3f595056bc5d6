//! What a claim asks for: requests, and alternatives of requests.

use std::sync::Arc;

use k8s_openapi::{
    api::resource::v1::{
        DeviceClass, DeviceRequest, DeviceSelector, DeviceSubRequest, DeviceToleration, ExactDeviceRequest,
        ResourceClaim,
    },
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::{
    ObjectKey,
    scheduler::{Objects, Rejection},
};

/// `AllocationResultsMaxSize`: the most devices of a claim.
pub(super) const MAX_DEVICES: usize = 32;

/// A claim that is to get devices.
pub(super) struct Wanted {
    pub(super) claim: Arc<ResourceClaim>,
    pub(super) key: ObjectKey,
    pub(super) requests: Vec<Request>,
}

/// A request with its alternatives, of which the first that can be had counts; one that is exact has one.
pub(super) struct Request {
    pub(super) name: String,
    pub(super) alternatives: Vec<Alternative>,
}

/// What is asked for.
pub(super) struct Alternative {
    /// The name in the request; `None` if the request is exact.
    pub(super) name: Option<String>,
    pub(super) class: Arc<DeviceClass>,
    pub(super) count: Count,
    pub(super) admin_access: bool,
    pub(super) selectors: Vec<DeviceSelector>,
    pub(super) tolerations: Vec<DeviceToleration>,
    /// Amounts by the name of a capacity.
    pub(super) capacity: Vec<(String, ApiQuantity)>,
}

/// How many devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Exactly(usize),
    /// All that the selectors match.
    All,
}

impl Wanted {
    /// Reads a claim, else why it cannot be allocated.
    pub(super) fn read(claim: &Arc<ResourceClaim>, objects: &Objects) -> Result<Self, Rejection> {
        let key = ObjectKey::of(&**claim);
        let requests = claim.spec.devices.iter().flat_map(|devices| devices.requests.iter().flatten());
        let requests: Result<Vec<_>, _> = requests.map(|request| Request::read(&key, request, objects)).collect();
        Ok(Self { claim: Arc::clone(claim), key, requests: requests? })
    }
}

impl Request {
    fn read(claim: &ObjectKey, request: &DeviceRequest, objects: &Objects) -> Result<Self, Rejection> {
        let name = &request.name;
        let alternatives = match (&request.exactly, request.first_available.as_deref().unwrap_or_default()) {
            (_, all) if !all.is_empty() => {
                all.iter().map(|one| Spoken::from(one).read(claim, &format!("{name}/{}", one.name), objects)).collect()
            }
            (Some(exactly), _) => Spoken::from(exactly).read(claim, name, objects).map(|only| vec![only]),
            (None, _) => Err(Rejection::failure(format!("request {name}: unsupported request type"))),
        };
        Ok(Self { name: name.clone(), alternatives: alternatives? })
    }
}

/// What an exact request and an alternative say alike.
struct Spoken<'a> {
    name: Option<&'a str>,
    class: &'a str,
    mode: Option<&'a str>,
    count: Option<i64>,
    admin_access: bool,
    selectors: &'a Option<Vec<DeviceSelector>>,
    tolerations: &'a Option<Vec<DeviceToleration>>,
    capacity: Vec<(String, ApiQuantity)>,
}

macro_rules! spoken_from {
    ($request:ty, $name:expr, $admin_access:expr) => {
        impl<'a> From<&'a $request> for Spoken<'a> {
            fn from(request: &'a $request) -> Self {
                let amounts = request.capacity.iter().flat_map(|capacity| capacity.requests.iter().flatten());
                Self {
                    name: $name(request),
                    class: &request.device_class_name,
                    mode: request.allocation_mode.as_deref(),
                    count: request.count,
                    admin_access: $admin_access(request),
                    selectors: &request.selectors,
                    tolerations: &request.tolerations,
                    capacity: amounts.map(|(name, amount)| (name.clone(), amount.clone())).collect(),
                }
            }
        }
    };
}
spoken_from!(ExactDeviceRequest, |_| None, |request: &ExactDeviceRequest| request.admin_access.unwrap_or_default());
spoken_from!(DeviceSubRequest, |request: &'a DeviceSubRequest| Some(request.name.as_str()), |_| false);

impl Spoken<'_> {
    fn read(self, claim: &ObjectKey, full: &str, objects: &Objects) -> Result<Alternative, Rejection> {
        if self.class.is_empty() {
            return Err(Rejection::failure(format!("request {full}: unsupported request type")));
        }
        let class = objects.get::<DeviceClass>(&ObjectKey::cluster(self.class)).ok_or_else(|| {
            Rejection::new(format!("request {full}: device class {} does not exist", self.class)).unresolvable()
        })?;
        let count = match self.mode.unwrap_or("ExactCount") {
            "ExactCount" => Count::Exactly(usize::try_from(self.count.unwrap_or(1)).unwrap_or(0)),
            "All" => Count::All,
            mode => {
                let error = format!("claim {claim}, request {full}: unsupported count mode {mode}");
                return Err(Rejection::failure(error));
            }
        };
        let selectors = self.selectors.clone().unwrap_or_default();
        if let Some(index) = selectors.iter().position(|selector| selector.cel.is_none()) {
            let why = "CEL expression empty (unsupported selector type?)";
            return Err(Rejection::failure(format!("claim {claim}, request {full}, selector #{index}: {why}")));
        }
        Ok(Alternative {
            name: self.name.map(str::to_owned),
            class: Arc::clone(class),
            count,
            admin_access: self.admin_access,
            selectors,
            tolerations: self.tolerations.clone().unwrap_or_default(),
            capacity: self.capacity,
        })
    }
}

impl Request {
    /// The name that results have: with the alternative's behind a slash.
    pub(super) fn full_name(&self, alternative: &Alternative) -> String {
        match &alternative.name {
            Some(name) => format!("{}/{name}", self.name),
            None => self.name.clone(),
        }
    }
}
