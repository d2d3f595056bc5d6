use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use orchestra_core::quantity::Quantity;

use super::bounds::{Amounts, parsed};

type List = BTreeMap<String, Quantity>;

/// What a pod asks for as a whole: what runs at the same time together, and at least what an init container asks for beside those that
/// go on running. What is said for the pod itself counts in its place.
pub(super) fn of(spec: &PodSpec) -> Amounts {
    let total = |of: fn(&Container) -> List| {
        let (mut sidecars, mut most) = (List::new(), List::new());
        for container in spec.init_containers.iter().flatten() {
            let mut beside = sidecars.clone();
            add(&mut beside, of(container));
            if container.restart_policy.as_deref() == Some("Always") {
                sidecars.clone_from(&beside);
            }
            for (name, amount) in beside {
                let most = most.entry(name).or_insert(amount);
                *most = (*most).max(amount);
            }
        }
        let mut sum = sidecars;
        spec.containers.iter().for_each(|container| add(&mut sum, of(container)));
        for (name, amount) in most {
            let sum = sum.entry(name).or_insert(amount);
            *sum = (*sum).max(amount);
        }
        sum
    };
    let mut amounts = Amounts { requests: total(requests), limits: total(limits) };
    if let Some(own) = &spec.resources {
        amounts.requests.extend(parsed(&own.requests));
        amounts.limits.extend(parsed(&own.limits));
    }
    amounts
}

fn requests(container: &Container) -> List {
    container.resources.as_ref().map(|resources| parsed(&resources.requests)).unwrap_or_default()
}

fn limits(container: &Container) -> List {
    container.resources.as_ref().map(|resources| parsed(&resources.limits)).unwrap_or_default()
}

fn add(sum: &mut List, amounts: List) {
    for (name, amount) in amounts {
        let sum = sum.entry(name).or_default();
        *sum = *sum + amount;
    }
}
