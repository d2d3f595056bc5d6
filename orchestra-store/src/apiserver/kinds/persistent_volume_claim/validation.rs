//! Checks of claims (`ValidatePersistentVolumeClaimSpec`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::{persistent_volume::BETA_CLASS, quantity::Quantity};

use super::{amount, data_source, phase};
use crate::apiserver::{
    field::{Error, Errors, Path},
    kinds::{access_modes, spec_diff},
    validation::label_selector,
};

pub(super) fn validate(claim: &PersistentVolumeClaim) -> Errors {
    let path = Path::new("spec");
    let none = PersistentVolumeClaimSpec::default();
    let spec = claim.spec.as_ref().unwrap_or(&none);
    let mut errors = Errors::new();
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    if modes.is_empty() {
        errors.push(Error::required(&path.child("accessModes"), "at least 1 access mode is required"));
    }
    errors.extend(spec.selector.iter().flat_map(|all| label_selector::validate(all, &path.child("selector"))));
    errors.extend(access_modes::validate(modes, &path.child("accessModes")));
    errors.extend(storage(spec, &path.child("resources").key("storage")));
    errors.extend(access_modes::class_name(spec.storage_class_name.as_deref(), &path.child("storageClassName")));
    errors.extend(access_modes::volume_mode(spec.volume_mode.as_deref(), &path.child("volumeMode")));
    errors.extend(data_source::validate(spec, &path));
    let attributes = spec.volume_attributes_class_name.as_deref();
    errors.extend(access_modes::class_name(attributes, &path.child("volumeAttributesClassName")));
    errors
}

pub(super) fn validate_update(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> Errors {
    let mut errors = validate(new);
    let (Some(now), Some(before)) = (&new.spec, &old.spec) else { return errors };
    let annotated = |claim: &PersistentVolumeClaim| {
        claim.metadata.annotations.as_ref().and_then(|all| all.get(BETA_CLASS)).cloned()
    };
    let (new_class, old_class) = (annotated(new), annotated(old));
    let gains_class = before.storage_class_name.is_none()
        && now.storage_class_name.is_some()
        && (old_class.is_none() || old_class == now.storage_class_name);
    let moves_class = gains_class && old_class.is_some() && (new_class.is_none() || new_class == old_class);
    if new_class != old_class && !moves_class {
        let path = Path::new("metadata").child("annotations").key(BETA_CLASS);
        let class = new_class.unwrap_or_default();
        errors.push(Error::invalid(&path, class.as_str(), "field is immutable"));
    }
    let (before_fixed, now_fixed) = fixed(before, now, gains_class, phase(new) == "Bound");
    if now_fixed != before_fixed {
        let why =
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
        let why = format!("{why}\n{}", spec_diff::of_claims(&before_fixed, &now_fixed));
        errors.push(Error::forbidden(&Path::new("spec"), &why));
    }
    errors.extend(shrinks(now, before, old));
    errors.extend(access_modes::same_volume_mode(now.volume_mode.as_ref(), before.volume_mode.as_ref()));
    errors.extend(attributes_class(now, before));
    errors
}

pub(super) fn validate_status(claim: &PersistentVolumeClaim) -> Errors {
    let path = Path::new("status").child("capacity");
    let capacity = claim.status.iter().flat_map(|status| status.capacity.iter().flatten());
    let negative = capacity.filter_map(|(name, amount)| {
        let amount = Quantity::try_from(amount).ok().filter(|amount| amount.is_negative())?;
        Some(Error::invalid(&path.key(name), amount.value(), "must be a valid resource quantity"))
    });
    negative.collect()
}

fn storage(spec: &PersistentVolumeClaimSpec, path: &Path) -> Option<Error> {
    match amount(spec) {
        None => Some(Error::required(path, "")),
        Some(amount) if amount.is_zero() || amount.is_negative() => {
            Some(Error::invalid(path, amount.to_string().as_str(), "must be greater than zero"))
        }
        Some(_) => None,
    }
}

/// Both specs, made equal in what may change: the volume's name once, a class once where there was none, the attributes, and how much
/// a bound claim asks for.
fn fixed(
    before: &PersistentVolumeClaimSpec,
    now: &PersistentVolumeClaimSpec,
    gains_class: bool,
    is_bound: bool,
) -> (PersistentVolumeClaimSpec, PersistentVolumeClaimSpec) {
    let (mut before, mut now) = (before.clone(), now.clone());
    if before.volume_name.as_deref().unwrap_or_default().is_empty() {
        before.volume_name.clone_from(&now.volume_name);
    }
    if gains_class {
        now.storage_class_name.clone_from(&before.storage_class_name);
    }
    now.volume_attributes_class_name.clone_from(&before.volume_attributes_class_name);
    if let Some(requests) = requests(&mut now).filter(|_| is_bound)
        && let Some(amount) = before.resources.as_ref().and_then(|all| all.requests.as_ref()?.get("storage"))
    {
        requests.insert("storage".to_owned(), amount.clone());
    }
    (before, now)
}

fn requests(spec: &mut PersistentVolumeClaimSpec) -> Option<&mut BTreeMap<String, ApiQuantity>> {
    spec.resources.as_mut()?.requests.as_mut()
}

/// A claim that failed to grow may ask for less again, but for more than it has (KEP-1790).
fn shrinks(
    now: &PersistentVolumeClaimSpec,
    before: &PersistentVolumeClaimSpec,
    old: &PersistentVolumeClaim,
) -> Option<Error> {
    let has = old.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage")?.try_into().ok());
    let (now, has) = (amount(now).unwrap_or_default(), has.unwrap_or_default());
    (now < amount(before).unwrap_or_default() && now <= has).then(|| {
        let path = Path::new("spec").child("resources").child("requests").child("storage");
        Error::forbidden(&path, "field can not be less than status.capacity")
    })
}

fn attributes_class(now: &PersistentVolumeClaimSpec, before: &PersistentVolumeClaimSpec) -> Option<Error> {
    before.volume_attributes_class_name.as_ref()?;
    let what = match now.volume_attributes_class_name.as_deref() {
        None => "nil",
        Some("") => "an empty string",
        Some(_) => return None,
    };
    let path = Path::new("spec").child("volumeAttributesClassName");
    Some(Error::forbidden(&path, &format!("update from non-nil value to {what} is forbidden")))
}
