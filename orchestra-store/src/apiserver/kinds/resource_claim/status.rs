//! Which devices a claim has, and who uses them.

use k8s_openapi::api::resource::v1::{
    AllocatedDeviceStatus, AllocationResult, DeviceAllocationConfiguration, DeviceRequestAllocationResult,
    ResourceClaim, ResourceClaimConsumerReference, ResourceClaimStatus,
};
use orchestra_core::device::MAX_USERS;

use super::{
    super::{
        device::{MAX_ITEMS, configuration, driver, each, label, object, pool, set, toleration},
        pod,
    },
    spec::{Name, RequestNames},
};
use crate::apiserver::field::{Error, Errors, Path, Shown};

/// What drivers may say of a device.
const MAX_CONDITIONS: usize = 8;
const MAX_DATA: usize = 10 * 1024;

/// A device, or a share of it.
type DeviceId<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

fn allocated(status: &ResourceClaimStatus) -> impl Iterator<Item = DeviceId<'_>> {
    let devices = status.allocation.iter().flat_map(|allocation| &allocation.devices);
    let results = devices.flat_map(|devices| devices.results.iter().flatten());
    results.map(|result| (&*result.driver, &*result.pool, &*result.device, result.share_id.as_deref()))
}

fn told_of(device: &AllocatedDeviceStatus) -> DeviceId<'_> {
    (&device.driver, &device.pool, &device.device, device.share_id.as_deref())
}

/// What drivers said of devices that the claim has no longer goes with them.
pub(super) fn drop_deallocated(new: &mut ResourceClaim, old: &ResourceClaim) {
    let (Some(status), Some(before)) = (&mut new.status, &old.status) else { return };
    let Some(devices) = status.devices.take() else { return };
    let stays = |device: &AllocatedDeviceStatus| {
        let id = told_of(device);
        !allocated(before).any(|other| other == id) || allocated(status).any(|other| other == id)
    };
    let kept: Vec<_> = devices.into_iter().filter(stays).collect();
    status.devices = (!kept.is_empty()).then_some(kept);
}

pub(super) fn validate_update(new: &ResourceClaim, old: &ResourceClaim) -> Errors {
    let (none, path) = (ResourceClaimStatus::default(), Path::new("status"));
    let (status, before) = (new.status.as_ref().unwrap_or(&none), old.status.as_ref().unwrap_or(&none));
    let devices = new.spec.devices.clone().unwrap_or_default();
    let names = RequestNames::of(&devices);
    let users_path = path.child("reservedFor");
    let uid = |user: &ResourceClaimConsumerReference| Name(user.uid.clone());
    let mut errors = set(status.reserved_for.as_deref(), MAX_USERS, &users_path, uid, user);
    let key = |device: &AllocatedDeviceStatus| Name(shown(told_of(device)));
    let check = |device: &AllocatedDeviceStatus, path: &Path| device_status(device, path, status);
    errors.extend(set(status.devices.as_deref(), usize::MAX, &path.child("devices"), key, check));
    let users = status.reserved_for.as_deref().unwrap_or_default();
    if !users.is_empty() && status.allocation.is_none() {
        errors.push(Error::forbidden(&users_path, "may not be specified when `allocated` is not set"));
    } else if new.metadata.deletion_timestamp.is_some() {
        let known = before.reserved_for.as_deref().unwrap_or_default();
        if users.iter().any(|user| !known.contains(user)) {
            let why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set";
            errors.push(Error::forbidden(&users_path, why));
        }
    }
    let path = path.child("allocation");
    match (&status.allocation, &before.allocation) {
        (Some(new), Some(old)) if new != old => {
            errors.push(Error::invalid(&path, Shown::json(new), "field is immutable"));
        }
        (Some(new), None) => errors.extend(allocation(new, &path, &names)),
        _ => {}
    }
    errors
}

fn user(user: &ResourceClaimConsumerReference, path: &Path) -> Errors {
    let fields = [("resource", &user.resource), ("name", &user.name), ("uid", &user.uid)];
    let missing = fields.into_iter().filter(|(_, value)| value.is_empty());
    missing.map(|(field, _)| Error::required(&path.child(field), "")).collect()
}

fn allocation(allocation: &AllocationResult, path: &Path, names: &RequestNames<'_>) -> Errors {
    let mut errors = Errors::new();
    if let Some(devices) = &allocation.devices {
        let path = path.child("devices");
        let check = |one: &DeviceRequestAllocationResult, path: &Path| result(one, path, names);
        errors.extend(each(devices.results.as_deref(), MAX_ITEMS, &path.child("results"), check));
        let check = |one: &DeviceAllocationConfiguration, path: &Path| config(one, path, names);
        errors.extend(each(devices.config.as_deref(), 2 * MAX_ITEMS, &path.child("config"), check));
    }
    if let Some(selector) = &allocation.node_selector {
        pod::node_selector(selector, &path.child("nodeSelector"), &mut errors);
    }
    errors
}

fn result(result: &DeviceRequestAllocationResult, path: &Path, names: &RequestNames<'_>) -> Errors {
    let mut errors = names.reference(&result.request, &path.child("request"));
    errors.extend(driver(&result.driver, &path.child("driver")));
    errors.extend(pool(&result.pool, &path.child("pool")));
    errors.extend(label(&result.device, &path.child("device")));
    errors.extend(each(result.tolerations.as_deref(), usize::MAX, &path.child("tolerations"), toleration));
    if let Some(share) = result.share_id.as_deref().filter(|share| !is_uid(share)) {
        let why = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";
        errors.push(Error::invalid(&path.child("shareID"), share, why));
    }
    errors
}

fn is_uid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c))
}

fn config(config: &DeviceAllocationConfiguration, path: &Path, names: &RequestNames<'_>) -> Errors {
    const SOURCES: [&str; 2] = ["FromClaim", "FromClass"];
    let source = path.child("source");
    let mut errors = Errors::new();
    match config.source.as_str() {
        "" => errors.push(Error::required(&source, "")),
        known if SOURCES.contains(&known) => {}
        other => errors.push(Error::not_supported(&source, other, &SOURCES)),
    }
    errors.extend(names.references(config.requests.as_deref(), &path.child("requests")));
    errors.extend(configuration(config.opaque.as_ref(), path));
    errors
}

fn device_status(device: &AllocatedDeviceStatus, path: &Path, status: &ResourceClaimStatus) -> Errors {
    let mut errors = driver(&device.driver, &path.child("driver"));
    errors.extend(pool(&device.pool, &path.child("pool")));
    errors.extend(label(&device.device, &path.child("device")));
    let id = told_of(device);
    if !allocated(status).any(|other| other == id) {
        errors.push(Error::invalid(path, &shown(id), "must be an allocated device in the claim"));
    }
    let conditions = device.conditions.as_ref().map_or(0, Vec::len);
    if conditions > MAX_CONDITIONS {
        errors.push(Error::too_many(&path.child("conditions"), conditions, MAX_CONDITIONS));
    }
    errors.extend(device.data.as_ref().and_then(|data| object(data, &path.child("data"), MAX_DATA)));
    errors
}

fn shown((driver, pool, device, share): DeviceId<'_>) -> String {
    let share = share.map(|share| format!("/{share}")).unwrap_or_default();
    format!("{driver}/{pool}/{device}{share}")
}
