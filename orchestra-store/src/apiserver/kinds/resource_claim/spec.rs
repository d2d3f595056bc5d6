//! What a claim asks for.

use std::collections::BTreeMap;

use k8s_openapi::api::resource::v1::{
    DeviceClaim, DeviceClaimConfiguration, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceSubRequest,
    DeviceToleration, ExactDeviceRequest, ResourceClaimSpec,
};

use super::super::device::{
    MAX_ITEMS, configuration, default_tolerations, each, fully_qualified, label, selectors, set, subdomain, toleration,
};
use crate::apiserver::field::{Error, Errors, Path, Shown};

/// The most alternatives of a request, and the most tolerations.
const MAX_ALTERNATIVES: usize = 8;
const MAX_TOLERATIONS: usize = 16;

const ALL: &str = "All";
const EXACT_COUNT: &str = "ExactCount";

const ONE_OF: &str = "exactly one of `exactly` or `firstAvailable` is required";
const NO_SUCH_REQUEST: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// One device is asked for if nothing else is said.
pub(in super::super) fn default(spec: &mut ResourceClaimSpec) {
    let count = |mode: &mut Option<String>, count: &mut Option<i64>| {
        let mode = mode.get_or_insert_default();
        if mode.is_empty() {
            EXACT_COUNT.clone_into(mode);
        }
        if mode == EXACT_COUNT && count.unwrap_or_default() == 0 {
            *count = Some(1);
        }
    };
    for request in spec.devices.get_or_insert_default().requests.iter_mut().flatten() {
        if let Some(exactly) = &mut request.exactly {
            count(&mut exactly.allocation_mode, &mut exactly.count);
            default_tolerations(&mut exactly.tolerations);
        }
        for one in request.first_available.iter_mut().flatten() {
            count(&mut one.allocation_mode, &mut one.count);
            default_tolerations(&mut one.tolerations);
        }
    }
}

pub(in super::super) fn validate(spec: &ResourceClaimSpec, path: &Path) -> Errors {
    let path = path.child("devices");
    let Some(devices) = &spec.devices else { return Errors::new() };
    let names = RequestNames::of(devices);
    let name = |request: &DeviceRequest| Name(request.name.clone());
    let mut errors = set(devices.requests.as_deref(), MAX_ITEMS, &path.child("requests"), name, request);
    let check = |one: &DeviceConstraint, path: &Path| constraint(one, path, &names);
    errors.extend(each(devices.constraints.as_deref(), MAX_ITEMS, &path.child("constraints"), check));
    let check = |one: &DeviceClaimConfiguration, path: &Path| {
        let mut errors = names.references(one.requests.as_deref(), &path.child("requests"));
        errors.extend(configuration(one.opaque.as_ref(), path));
        errors
    };
    errors.extend(each(devices.config.as_deref(), MAX_ITEMS, &path.child("config"), check));
    errors
}

fn request(request: &DeviceRequest, path: &Path) -> Errors {
    let mut errors: Errors = label(&request.name, &path.child("name")).into_iter().collect();
    let alternatives = request.first_available.as_deref().filter(|all| !all.is_empty());
    match (&request.exactly, alternatives) {
        (None, None) => errors.push(Error::required(path, ONE_OF)),
        (Some(_), Some(_)) => {
            let why = format!("{ONE_OF}, but multiple fields are set");
            errors.push(Error::invalid(path, Shown::raw("null"), why));
        }
        (Some(exactly), None) => errors.extend(Wanted::from(exactly).validate(&path.child("exactly"))),
        (None, Some(all)) => {
            let check = |one: &DeviceSubRequest, path: &Path| {
                let mut errors: Errors = label(&one.name, &path.child("name")).into_iter().collect();
                errors.extend(Wanted::from(one).validate(path));
                errors
            };
            let path = path.child("firstAvailable");
            errors.extend(set(Some(all), MAX_ALTERNATIVES, &path, |one| Name(one.name.clone()), check));
        }
    }
    errors
}

/// What a request and each of its alternatives say.
struct Wanted<'a> {
    class: &'a str,
    mode: Option<&'a str>,
    count: i64,
    selectors: Option<&'a [DeviceSelector]>,
    tolerations: Option<&'a [DeviceToleration]>,
}

macro_rules! wanted_from {
    ($($request:ty),*) => { $(impl<'a> From<&'a $request> for Wanted<'a> {
        fn from(request: &'a $request) -> Self {
            Self {
                class: &request.device_class_name,
                mode: request.allocation_mode.as_deref(),
                count: request.count.unwrap_or_default(),
                selectors: request.selectors.as_deref(),
                tolerations: request.tolerations.as_deref(),
            }
        }
    })* };
}
wanted_from!(ExactDeviceRequest, DeviceSubRequest);

impl Wanted<'_> {
    fn validate(&self, path: &Path) -> Errors {
        let mut errors: Errors = subdomain(self.class, &path.child("deviceClassName")).into_iter().collect();
        errors.extend(selectors(self.selectors, &path.child("selectors")));
        let count = path.child("count");
        match self.mode.unwrap_or_default() {
            ALL if self.count != 0 => {
                let why = "must not be specified when allocationMode is 'All'";
                errors.push(Error::invalid(&count, self.count, why));
            }
            ALL => {}
            EXACT_COUNT if self.count <= 0 => {
                errors.push(Error::invalid(&count, self.count, "must be greater than zero"));
            }
            EXACT_COUNT => {}
            mode => errors.push(Error::not_supported(&path.child("allocationMode"), mode, &[ALL, EXACT_COUNT])),
        }
        errors.extend(each(self.tolerations, MAX_TOLERATIONS, &path.child("tolerations"), toleration));
        errors
    }
}

fn constraint(constraint: &DeviceConstraint, path: &Path, names: &RequestNames<'_>) -> Errors {
    let mut errors = names.references(constraint.requests.as_deref(), &path.child("requests"));
    match (&constraint.match_attribute, &constraint.distinct_attribute) {
        (Some(attribute), None) => errors.extend(fully_qualified(attribute, &path.child("matchAttribute"))),
        (None, Some(attribute)) => errors.extend(fully_qualified(attribute, &path.child("distinctAttribute"))),
        (None, None) => {
            let why =
                "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            errors.push(Error::required(path, why));
        }
        (Some(_), Some(_)) => {
            let why =
                "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set";
            errors.push(Error::invalid(path, Shown::json(constraint), why));
        }
    }
    errors
}

/// The requests of a claim with their alternatives.
pub(super) struct RequestNames<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> RequestNames<'a> {
    pub(super) fn of(devices: &'a DeviceClaim) -> Self {
        let requests = devices.requests.iter().flatten();
        let alternatives = |request: &'a DeviceRequest| {
            request.first_available.iter().flatten().map(|one| one.name.as_str()).collect::<Vec<_>>()
        };
        Self(requests.map(|request| (request.name.as_str(), alternatives(request))).collect())
    }

    fn has(&self, name: &str) -> bool {
        match name.split_once('/') {
            None => self.0.contains_key(name),
            Some((request, one)) => self.0.get(request).is_some_and(|all| all.contains(&one)),
        }
    }

    /// Checks what names a request, or an alternative behind a slash.
    pub(super) fn reference(&self, name: &str, path: &Path) -> Errors {
        if name.matches('/').count() > 1 {
            return vec![Error::invalid(path, name, NO_SUCH_REQUEST)];
        }
        let mut errors: Errors = name.split('/').filter_map(|part| label(part, path)).collect();
        if !self.has(name) {
            errors.push(Error::invalid(path, name, NO_SUCH_REQUEST));
        }
        errors
    }

    /// The same of several, of which no two are the same.
    pub(super) fn references(&self, names: Option<&[String]>, path: &Path) -> Errors {
        set(names, MAX_ITEMS, path, |name| Name(name.clone()), |name, path| self.reference(name, path))
    }
}

/// A name as the key of a set.
#[derive(Clone, PartialEq)]
pub(in super::super) struct Name(pub(in super::super) String);

impl From<Name> for Shown {
    fn from(name: Name) -> Self {
        Self::from(&name.0)
    }
}
