//! What a container is told of its requests and limits (`pkg/api/v1/resource`).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceFieldSelector},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

use super::ConfigError;

/// The amount that `selector` names, in whole multiples of its divisor, rounded up. A limit that is not set is what the node has.
pub(in crate::kubelet) fn amount(
    selector: &ResourceFieldSelector,
    pod: &Pod,
    container: Option<&Container>,
    allocatable: &BTreeMap<String, String>,
) -> Result<String, ConfigError> {
    let container = match selector.container_name.as_deref().filter(|name| !name.is_empty()) {
        Some(name) => Some(named(pod, name).ok_or_else(|| ConfigError(format!("container {name} not found")))?),
        None => container,
    };
    let unsupported = || ConfigError(format!("unsupported container resource : {}", selector.resource));
    let (list, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    let resources = container.and_then(|container| container.resources.as_ref());
    let own = match list {
        "limits" if known => resources.and_then(|resources| resources.limits.as_ref()),
        "requests" if known => resources.and_then(|resources| resources.requests.as_ref()),
        _ => return Err(unsupported()),
    };
    let own = own.and_then(|list| list.get(name)).map(parsed).filter(|amount| !amount.is_zero());
    let of_node = || allocatable.get(name).and_then(|amount| amount.parse().ok());
    let amount = own.or_else(|| of_node().filter(|_| list == "limits")).unwrap_or_default();
    let divisor = selector.divisor.as_ref().map(parsed).filter(|divisor| !divisor.is_zero());
    let divisor = divisor.unwrap_or(Quantity::from_value(1));
    let (amount, divisor) = match name {
        "cpu" => (amount.milli_value(), divisor.milli_value()),
        _ => (amount.value(), divisor.value()),
    };
    Ok(i128::from(amount).div_euclid(divisor.into()).saturating_add(i128::from(amount % divisor != 0)).to_string())
}

fn named<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let spec = pod.spec.as_ref()?;
    spec.containers.iter().chain(spec.init_containers.iter().flatten()).find(|container| container.name == name)
}

fn parsed(amount: &ApiQuantity) -> Quantity {
    amount.0.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::testing::{container, pod},
        *,
    };

    #[test]
    fn amounts_are_counted_in_divisors() {
        let resources = json!({ "requests": { "cpu": "1250m", "memory": "64Mi" }, "limits": { "memory": "100M" } });
        let (container, pod) = (container(json!({ "resources": resources })), pod(json!({})));
        let node = BTreeMap::from([("cpu".to_owned(), "4".to_owned()), ("memory".to_owned(), "8Gi".to_owned())]);
        for (resource, divisor, value) in [
            ("requests.cpu", "0", "2"),
            ("requests.cpu", "1m", "1250"),
            ("requests.memory", "1Mi", "64"),
            ("limits.memory", "1Mi", "96"),
            ("limits.memory", "1", "100000000"),
            ("limits.cpu", "1", "4"),
            ("requests.ephemeral-storage", "1", "0"),
            ("requests.hugepages-2Mi", "1", "0"),
        ] {
            let selector = json!({ "resource": resource, "divisor": divisor });
            let selector = serde_json::from_value(selector).unwrap();
            assert_eq!(amount(&selector, &pod, Some(&container), &node).as_deref(), Ok(value), "{resource}");
        }
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (selector, message) in [
            (json!({ "resource": "limits.gpu" }), "unsupported container resource : limits.gpu"),
            (json!({ "resource": "limits.cpu", "containerName": "x" }), "container x not found"),
        ] {
            let selector = serde_json::from_value(selector).unwrap();
            let error = amount(&selector, &pod(json!({})), None, &BTreeMap::new()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
