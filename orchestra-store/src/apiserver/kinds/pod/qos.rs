//! A pod's quality of service, from what its containers request and may use.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PodSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

const COUNTED: [&str; 2] = ["cpu", "memory"];

type Amounts = BTreeMap<&'static str, Quantity>;

/// `Guaranteed` if every container has limits of CPU and memory and requests just these, `BestEffort` if none names any,
/// else `Burstable`. Resources of the pod as a whole count instead of its containers' (KEP-2837).
pub fn class(spec: &PodSpec) -> &'static str {
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut all_limited = true;
    let mut add = |resources: Option<&ResourceRequirements>| {
        add_to(&mut requests, resources.and_then(|r| r.requests.as_ref()));
        all_limited &= add_to(&mut limits, resources.and_then(|r| r.limits.as_ref())) == COUNTED.len();
    };
    match &spec.resources {
        Some(resources) => add(Some(resources)),
        None => {
            let init = spec.init_containers.iter().flatten();
            spec.containers.iter().chain(init).for_each(|container| add(container.resources.as_ref()));
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if all_limited && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds the amounts that count; gives how many there were.
fn add_to(sum: &mut Amounts, list: Option<&BTreeMap<String, ApiQuantity>>) -> usize {
    let Some(list) = list else { return 0 };
    let mut found = 0;
    for name in COUNTED {
        let amount = list.get(name).and_then(|quantity| quantity.0.parse::<Quantity>().ok());
        if let Some(amount) = amount.filter(|amount| !amount.is_zero() && !amount.is_negative()) {
            let total = sum.entry(name).or_default();
            *total = *total + amount;
            found += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_three_classes() {
        let class = |resources| {
            let spec = json!({"containers": [{"name": "a", "resources": resources}]});
            super::class(&serde_json::from_value(spec).unwrap())
        };
        assert_eq!(class(json!({})), "BestEffort");
        assert_eq!(class(json!({"requests": {"cpu": "1"}})), "Burstable");
        let both = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(class(json!({"requests": both, "limits": both})), "Guaranteed");
        assert_eq!(class(json!({"requests": {"cpu": "0.5", "memory": "1Gi"}, "limits": both})), "Burstable");
    }
}
