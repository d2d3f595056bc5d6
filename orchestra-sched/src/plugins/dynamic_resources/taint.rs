//! Taints of devices (KEP-5055).

use k8s_openapi::api::resource::v1::{Device, DeviceTaint, DeviceToleration};

/// Whether a taint keeps the device from who tolerates these.
pub(super) fn is_kept_off(device: &Device, tolerations: &[DeviceToleration]) -> bool {
    let hard = device.taints.iter().flatten().filter(|taint| matches!(&*taint.effect, "NoSchedule" | "NoExecute"));
    hard.into_iter().any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let stands_for_all = |field: &Option<String>| field.as_deref().is_none_or(str::is_empty);
    let is = |field: &Option<String>, value: &str| stands_for_all(field) || field.as_deref() == Some(value);
    if !is(&toleration.effect, &taint.effect) || !is(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        "Exists" => true,
        _ => false,
    }
}
