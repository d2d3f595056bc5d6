//! How much of a capacity that is shared a request takes.

use k8s_openapi::{
    api::resource::v1::{CapacityRequestPolicy, CapacityRequestPolicyRange, DeviceCapacity},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

use crate::apiserver::field::{Error, Errors, Path};

/// `CapacityRequestPolicyDiscreteMaxOptions`.
const MAX_VALUES: usize = 10;

pub(super) fn validate(capacity: &DeviceCapacity, is_shared: bool, path: &Path) -> Errors {
    let Some(policy) = &capacity.request_policy else { return Errors::new() };
    let path = path.child("requestPolicy");
    if !is_shared {
        return vec![Error::forbidden(&path, "allowMultipleAllocations must be true")];
    }
    let values = policy.valid_values.as_deref().filter(|values| !values.is_empty());
    match (values, &policy.valid_range) {
        (Some(_), Some(_)) => {
            let why = r#"exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time"#;
            vec![Error::forbidden(&path, why)]
        }
        (Some(values), None) => match default(policy) {
            Some(default) => valid_values(values, default, &capacity.value, &path.child("validValues")),
            None => vec![Error::required(&path.child("default"), "required when validValues is defined")],
        },
        (None, Some(range)) => match default(policy) {
            Some(default) => valid_range(range, default, &capacity.value, &path.child("validRange")),
            None => vec![Error::required(&path.child("default"), "required when validRange is defined")],
        },
        (None, None) => Errors::new(),
    }
}

fn default(policy: &CapacityRequestPolicy) -> Option<&ApiQuantity> {
    policy.default.as_ref()
}

/// Quantities that cannot be read are refused when they are decoded.
fn read(quantity: &ApiQuantity) -> Quantity {
    quantity.try_into().unwrap_or_default()
}

fn valid_values(values: &[ApiQuantity], default: &ApiQuantity, most: &ApiQuantity, path: &Path) -> Errors {
    if values.len() > MAX_VALUES {
        return vec![Error::too_many(path, values.len(), MAX_VALUES)];
    }
    let amounts: Vec<Quantity> = values.iter().map(read).collect();
    let mut errors = Errors::new();
    for (index, pair) in amounts.windows(2).enumerate().filter(|(_, pair)| pair[0] > pair[1]) {
        let why = "values must be sorted in ascending order";
        errors.push(Error::invalid(&path.index(index + 1), &pair[1].to_string(), why));
    }
    for (index, amount) in amounts.iter().enumerate() {
        if *amount > read(most) {
            let why = format!("option is larger than capacity value: {}", read(most));
            errors.push(Error::invalid(&path.index(index), &amount.to_string(), why));
        }
        if amounts[..index].contains(amount) {
            errors.push(Error::duplicate(&path.index(index), &amount.value().to_string()));
        }
    }
    if !amounts.contains(&read(default)) {
        let why = "default value is not valid according to the requestPolicy";
        errors.push(Error::invalid(path, &read(default).to_string(), why));
    }
    errors
}

fn valid_range(range: &CapacityRequestPolicyRange, default: &ApiQuantity, most: &ApiQuantity, path: &Path) -> Errors {
    let (min, default, most) = (read(&range.min), read(default), read(most));
    let max = range.max.as_ref().map(read);
    let mut errors = Errors::new();
    let mut unless = |fine: bool, field: &str, value: Quantity, why: String| {
        if !fine {
            errors.push(Error::invalid(&path.child(field), &value.to_string(), why));
        }
    };
    unless(min <= most, "min", min, format!("min is larger than capacity value: {most}"));
    unless(default >= min, "default", default, format!("default is less than min: {min}"));
    if let Some(max) = max {
        unless(min <= max, "max", min, format!("min is larger than max: {max}"));
        unless(max <= most, "max", max, format!("max is larger than capacity value: {most}"));
        unless(default <= max, "default", default, format!("default is more than max: {max}"));
    }
    let Some(step) = range.step.as_ref().map(read) else { return errors };
    if step <= Quantity::default() {
        unless(false, "step", step, "must be greater than zero".to_owned());
        return errors;
    }
    let one = min + step;
    unless(one <= most, "step", step, format!("one step {one} is larger than capacity value: {most}"));
    for value in [Some(default), max].into_iter().flatten() {
        // A negative or absurd amount does not overflow: what is subtracted is bounded.
        let fits = (value - min).value().checked_rem(step.value()) == Some(0);
        unless(fits, "step", value, format!("value is not a multiple of a given step ({step}) from ({min})"));
    }
    errors
}
