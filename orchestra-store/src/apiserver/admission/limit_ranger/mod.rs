//! What the limit ranges of a namespace make of its pods and claims (`plugin/pkg/admission/limitranger`).

mod bounds;
mod totals;

use std::any::Any;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::{
    Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, ResourceRequirements,
};

use self::bounds::Amounts;
use super::{Admission, Admitted, ApiError, Operation};
use crate::cache::Freshness;

const RANGES: (&str, &str, &str) = ("", "v1", "limitranges");
/// Tells what was filled in.
const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Gives containers the requests and limits that a limit range has for them, and refuses what is outside of it.
pub(super) struct LimitRanger;

#[async_trait]
impl Admission for LimitRanger {
    async fn admit(&self, write: &mut Admitted<'_>) -> Result<(), ApiError> {
        // What a pod asks for changes by other ways than an update.
        let concerns = |object: &dyn Any| match write.operation {
            Operation::Create => object.is::<Pod>() || object.is::<PersistentVolumeClaim>(),
            _ => object.is::<PersistentVolumeClaim>(),
        };
        if !write.object.as_deref().is_some_and(|object| concerns(object as &dyn Any)) {
            return Ok(());
        }
        let namespace = write.ctx.namespace.as_deref();
        // Ranges and pods often come from one file, one right after the other.
        let ranges = write.reader.list_in(RANGES, namespace, Freshness::Latest).await?;
        let ranges = ranges.iter().filter_map(|json| serde_json::from_slice::<LimitRange>(json).ok());
        let items: Vec<LimitRangeItem> = ranges.filter_map(|range| range.spec).flat_map(|spec| spec.limits).collect();
        let Some(object) = write.object.as_deref_mut() else { return Ok(()) };
        let object = object as &mut dyn Any;
        let mut errors: Vec<String> = Vec::new();
        if let Some(pod) = object.downcast_mut::<Pod>() {
            fill(pod, &items);
            errors = items.iter().flat_map(|item| of_pod(pod, item)).collect();
        } else if let Some(claim) = object.downcast_ref::<PersistentVolumeClaim>() {
            let of_claims = items.iter().filter(|item| item.type_ == "PersistentVolumeClaim");
            errors.extend(of_claims.flat_map(|item| bounds::of_claim(claim, item)));
        }
        let why = match errors.as_slice() {
            [] => return Ok(()),
            [only] => only.clone(),
            _ => format!("[{}]", errors.join(", ")),
        };
        Err(ApiError::forbidden(write.resource, write.name, &why))
    }
}

/// Fills in what containers do not say, and notes it.
fn fill(pod: &mut Pod, items: &[LimitRangeItem]) {
    let Some(spec) = &mut pod.spec else { return };
    let mut notes = Vec::new();
    for item in items.iter().filter(|item| item.type_ == "Container") {
        for container in &mut spec.containers {
            fill_container(container, "container", item, &mut notes);
        }
        for container in spec.init_containers.iter_mut().flatten() {
            fill_container(container, "init container", item, &mut notes);
        }
    }
    if !notes.is_empty() {
        let note = format!("LimitRanger plugin set: {}", notes.join("; "));
        pod.metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), note);
    }
}

fn fill_container(container: &mut Container, what: &str, item: &LimitRangeItem, notes: &mut Vec<String>) {
    let resources = container.resources.get_or_insert_default();
    let lists =
        [("request", &mut resources.requests, &item.default_request), ("limit", &mut resources.limits, &item.default)];
    for (kind, list, defaults) in lists {
        let mut set = Vec::new();
        for (name, amount) in defaults.iter().flatten() {
            let list = list.get_or_insert_default();
            if !list.contains_key(name) {
                list.insert(name.clone(), amount.clone());
                set.push(name.as_str());
            }
        }
        if !set.is_empty() {
            notes.push(format!("{} {kind} for {what} {}", set.join(", "), container.name));
        }
    }
}

fn of_pod(pod: &Pod, item: &LimitRangeItem) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    match item.type_.as_str() {
        "Container" => {
            let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
            let none = ResourceRequirements::default();
            let amounts = containers.map(|container| Amounts::of(container.resources.as_ref().unwrap_or(&none)));
            amounts.flat_map(|amounts| bounds::wrong(&amounts, item)).collect()
        }
        "Pod" => bounds::wrong(&totals::of(spec), item),
        _ => Vec::new(),
    }
}
