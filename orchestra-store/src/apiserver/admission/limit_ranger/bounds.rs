use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LimitRangeItem, PersistentVolumeClaim, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;

/// What somebody asks for.
#[derive(Default)]
pub(super) struct Amounts {
    pub(super) requests: BTreeMap<String, Quantity>,
    pub(super) limits: BTreeMap<String, Quantity>,
}

impl Amounts {
    pub(super) fn of(resources: &ResourceRequirements) -> Self {
        Self { requests: parsed(&resources.requests), limits: parsed(&resources.limits) }
    }
}

pub(super) fn parsed(list: &Option<BTreeMap<String, ApiQuantity>>) -> BTreeMap<String, Quantity> {
    let amounts = list.iter().flatten();
    amounts.filter_map(|(name, amount)| Some((name.clone(), amount.0.parse().ok()?))).collect()
}

/// What is outside of the bounds of a range.
pub(super) fn wrong(amounts: &Amounts, item: &LimitRangeItem) -> Vec<String> {
    let kind = &item.type_;
    let asked = |name: &String| (amounts.requests.get(name), amounts.limits.get(name));
    let min = parsed(&item.min).into_iter().filter_map(|(name, least)| {
        let bound = format!("minimum {name} usage per {kind} is {least}");
        match asked(&name) {
            (None, _) => Some(format!("{bound}.  No request is specified")),
            (Some(request), _) if *request < least => Some(format!("{bound}, but request is {request}")),
            (_, Some(limit)) if *limit < least => Some(format!("{bound}, but limit is {limit}")),
            _ => None,
        }
    });
    let max = parsed(&item.max).into_iter().filter_map(|(name, most)| {
        let bound = format!("maximum {name} usage per {kind} is {most}");
        match asked(&name) {
            (_, None) => Some(format!("{bound}.  No limit is specified")),
            (_, Some(limit)) if *limit > most => Some(format!("{bound}, but limit is {limit}")),
            (Some(request), _) if *request > most => Some(format!("{bound}, but request is {request}")),
            _ => None,
        }
    });
    let ratio = parsed(&item.max_limit_request_ratio).into_iter().filter_map(|(name, most)| {
        let bound = format!("{name} max limit to request ratio per {kind} is {most}");
        match asked(&name) {
            (None, _) => Some(format!("{bound}, but no request is specified or request is 0")),
            (Some(request), _) if request.is_zero() => {
                Some(format!("{bound}, but no request is specified or request is 0"))
            }
            (_, None) => Some(format!("{bound}, but no limit is specified or limit is 0")),
            (_, Some(limit)) if limit.is_zero() => Some(format!("{bound}, but no limit is specified or limit is 0")),
            (Some(request), Some(limit)) => {
                let found = limit.as_f64() / request.as_f64();
                (found > most.as_f64()).then(|| format!("{bound}, but provided ratio is {found:.6}"))
            }
        }
    });
    min.chain(max).chain(ratio).collect()
}

/// What of a claim is outside of the bounds of a range.
pub(super) fn of_claim(claim: &PersistentVolumeClaim, item: &LimitRangeItem) -> Vec<String> {
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = requests.map(|resources| parsed(&resources.requests)).unwrap_or_default();
    let kind = &item.type_;
    let bounds = [("minimum", parsed(&item.min)), ("maximum", parsed(&item.max))];
    let bounds = bounds.into_iter().flat_map(|(which, list)| list.into_iter().map(move |bound| (which, bound)));
    bounds
        .filter_map(|(which, (name, bound))| {
            let said = format!("{which} {name} usage per {kind} is {bound}");
            match requests.get(&name) {
                None => Some(format!("{said}.  No request is specified")),
                Some(request) if which == "minimum" && *request < bound => {
                    Some(format!("{said}, but request is {request}"))
                }
                Some(request) if which == "maximum" && *request > bound => {
                    Some(format!("{said}, but request is {request}"))
                }
                Some(_) => None,
            }
        })
        .collect()
}
