//! How much of a device's capacity a request takes (KEP-5075).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::resource::v1::{CapacityRequestPolicy, CapacityRequestPolicyRange, Device, DeviceCapacity},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

use super::taken::Amounts;

/// What a request takes of each capacity of a device beside what others took; `None` if it asks for what the device does not have, or has
/// not enough of, or for an amount that it does not give.
pub(super) fn consumed(device: &Device, requested: &[(String, ApiQuantity)], taken: &[&Amounts]) -> Option<Amounts> {
    let none = BTreeMap::new();
    let capacities = device.capacity.as_ref().unwrap_or(&none);
    if requested.iter().any(|(name, _)| !capacities.contains_key(name)) {
        return None;
    }
    let mut consumed = Amounts::new();
    for (name, capacity) in capacities {
        let wanted = requested.iter().find(|(wanted, _)| wanted == name).map(|(_, amount)| read(amount));
        let amount = rounded(wanted, capacity);
        let before: Quantity = taken.iter().filter_map(|amounts| amounts.get(name)).copied().sum();
        if amount.is_negative() || !is_given(amount, capacity) || before + amount > read(&capacity.value) {
            return None;
        }
        consumed.insert(name.clone(), amount);
    }
    Some(consumed)
}

/// What cannot be read is none; the API server refuses it.
fn read(quantity: &ApiQuantity) -> Quantity {
    quantity.try_into().unwrap_or_default()
}

/// The least amount that the device gives that is not less than what is wanted. Without a wish it is the default, or all.
fn rounded(wanted: Option<Quantity>, capacity: &DeviceCapacity) -> Quantity {
    let policy = capacity.request_policy.as_ref();
    let Some(wanted) = wanted else {
        return read(policy.and_then(|policy| policy.default.as_ref()).unwrap_or(&capacity.value));
    };
    match policy {
        Some(CapacityRequestPolicy { valid_range: Some(range), .. }) => rounded_to_step(wanted, range),
        Some(CapacityRequestPolicy { valid_values: Some(values), .. }) => {
            values.iter().map(read).find(|value| *value >= wanted).unwrap_or(wanted)
        }
        _ => wanted,
    }
}

fn rounded_to_step(wanted: Quantity, range: &CapacityRequestPolicyRange) -> Quantity {
    let min = read(&range.min);
    if wanted <= min {
        return min;
    }
    let Some(step) = range.step.as_ref().map(|step| read(step).value()).filter(|step| *step > 0) else { return wanted };
    let above = (wanted - min).value();
    let steps = above / step + i64::from(above % step != 0);
    min + Quantity::from_value(steps.saturating_mul(step))
}

/// Whether the device gives such an amount.
fn is_given(amount: Quantity, capacity: &DeviceCapacity) -> bool {
    let Some(policy) = &capacity.request_policy else { return true };
    if policy.default.as_ref().map(read) == Some(amount) {
        return true;
    }
    if let Some(range) = &policy.valid_range {
        return range.max.as_ref().is_none_or(|max| amount <= read(max));
    }
    policy.valid_values.as_ref().is_none_or(|values| values.iter().any(|value| read(value) == amount))
}
