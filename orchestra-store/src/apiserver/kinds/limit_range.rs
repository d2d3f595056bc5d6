//! LimitRanges (`pkg/registry/core/limitrange`, `pkg/apis/core/validation`). What they do is admission's part.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{LimitRange, LimitRangeItem},
    apimachinery::pkg::api::resource::Quantity as ApiQuantity,
};
use orchestra_core::quantity::Quantity;
use serde_json::{Value, json};

use super::{column, pod};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::qualified_name,
};

type List = BTreeMap<String, ApiQuantity>;

/// The rules of limit ranges.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitRanges;

/// The row of limit ranges.
pub fn row() -> Resource {
    new_row(LimitRanges).short_names(&["limits"])
}

impl Strategy for LimitRanges {
    type Object = LimitRange;
    type Wire = LimitRange;

    fn default(&self, range: &mut LimitRange) {
        for item in range.spec.iter_mut().flat_map(|spec| spec.limits.iter_mut()) {
            for list in [
                &mut item.max,
                &mut item.min,
                &mut item.default,
                &mut item.default_request,
                &mut item.max_limit_request_ratio,
            ] {
                pod::resource_list(list);
            }
            if item.type_ == "Container" {
                of_containers(item);
            }
        }
    }

    fn validate(&self, _ctx: &RequestContext, range: &LimitRange) -> Errors {
        let limits = range.spec.as_ref().map(|spec| spec.limits.as_slice()).unwrap_or_default();
        let path = Path::new("spec").child("limits");
        let mut errors = Errors::new();
        for (index, item) in limits.iter().enumerate() {
            let path = path.index(index);
            let kind = path.child("type");
            let wrong = qualified_name::key(&item.type_).into_iter();
            errors.extend(wrong.map(|error| Error::invalid(&kind, &item.type_, error)));
            if limits[..index].iter().any(|other| other.type_ == item.type_) {
                errors.push(Error::duplicate(&kind, &item.type_));
            }
            errors.extend(names(item, &path));
            errors.extend(amounts(item, &path));
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        column::DEFAULT
    }

    fn cells(&self, range: &LimitRange, _now: Timestamp) -> Vec<Value> {
        vec![json!(range.metadata.name), json!(range.metadata.creation_timestamp)]
    }
}

/// What is not said of containers: as much as there may be at most, requests as limits, or as there must be at least.
fn of_containers(item: &mut LimitRangeItem) {
    let fill = |list: &mut Option<List>, from: &Option<List>| {
        for (name, amount) in from.iter().flatten() {
            list.get_or_insert_default().entry(name.clone()).or_insert_with(|| amount.clone());
        }
    };
    fill(&mut item.default, &item.max);
    fill(&mut item.default_request, &item.default);
    fill(&mut item.default_request, &item.min);
}

fn names(item: &LimitRangeItem, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let lists = [
        ("max", &item.max),
        ("min", &item.min),
        ("default", &item.default),
        ("defaultRequest", &item.default_request),
        ("maxLimitRequestRatio", &item.max_limit_request_ratio),
    ];
    for (field, list) in lists {
        let at = path.child(field);
        if item.type_ == "Pod" && field.starts_with("default") {
            if list.iter().flatten().next().is_some() {
                errors.push(Error::forbidden(&at, "may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for name in list.iter().flat_map(BTreeMap::keys) {
            let of_container = matches!(item.type_.as_str(), "Pod" | "Container");
            errors.extend(pod::resource_name(name, of_container, &at.key(name)));
        }
    }
    let has_storage = |list: &Option<List>| list.as_ref().is_some_and(|list| list.contains_key("storage"));
    if item.type_ == "PersistentVolumeClaim" && !has_storage(&item.min) && !has_storage(&item.max) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), detail));
    }
    errors
}

/// No amount contradicts another of the same resource.
fn amounts(item: &LimitRangeItem, path: &Path) -> Errors {
    let mut errors = Errors::new();
    let lists = [&item.max, &item.min, &item.default, &item.default_request, &item.max_limit_request_ratio];
    let names: std::collections::BTreeSet<&String> =
        lists.iter().flat_map(|list| list.iter().flatten()).map(|e| e.0).collect();
    for name in names {
        let of = |list: &Option<List>| list.as_ref()?.get(name)?.0.parse::<Quantity>().ok();
        let [max, min, default, request, ratio] = lists.map(of);
        let mut ordered =
            |less: (Option<Quantity>, &str), more: (Option<Quantity>, &str), field: &str, shown: Option<Quantity>| {
                let (Some(low), Some(high), Some(shown)) = (less.0, more.0, shown) else { return };
                if low > high {
                    let detail = format!("{} value {low} is greater than {} value {high}", less.1, more.1);
                    errors.push(Error::invalid(&path.child(field).key(name), &shown.to_string(), detail));
                }
            };
        ordered((min, "min"), (max, "max"), "min", min);
        ordered((min, "min"), (request, "default request"), "defaultRequest", request);
        ordered((request, "default request"), (max, "max"), "defaultRequest", request);
        ordered((request, "default request"), (default, "default limit"), "defaultRequest", request);
        ordered((min, "min"), (default, "default"), "default", min);
        ordered((default, "default"), (max, "max"), "default", max);
        errors.extend(
            ratio.and_then(|ratio| wrong_ratio(ratio, min, max, &path.child("maxLimitRequestRatio").key(name))),
        );
        if let (Some(default), Some(request)) = (default, request)
            && default != request
            && !pod::overcommits(name)
        {
            let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
            let path = path.child("defaultRequest").key(name);
            errors.push(Error::invalid(&path, Shown::from(&request.to_string()), detail));
        }
    }
    errors
}

fn wrong_ratio(ratio: Quantity, min: Option<Quantity>, max: Option<Quantity>, path: &Path) -> Option<Error> {
    if ratio < Quantity::from_value(1) {
        return Some(Error::invalid(path, &ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    let most = max?.as_f64() / min?.as_f64();
    let detail = || format!("ratio {ratio} is greater than max/min = {most:.6}");
    (ratio.as_f64() > most).then(|| Error::invalid(path, &ratio.to_string(), detail()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn range(item: Value) -> LimitRange {
        let mut range = object(json!({"spec": {"limits": [item]}}));
        LimitRanges.default(&mut range);
        range
    }

    fn errors(item: Value) -> Vec<String> {
        texts(&LimitRanges.validate(&context(), &range(item)))
    }

    #[test]
    fn what_is_not_said_of_containers_follows_from_what_is() {
        let range = range(json!({"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "64Mi"}}));
        let item = serde_json::to_value(range).unwrap()["spec"]["limits"][0].clone();
        assert_eq!(item["default"], json!({"cpu": "1"}));
        assert_eq!(item["defaultRequest"], json!({"cpu": "1", "memory": "64Mi"}));
    }

    #[test]
    fn amounts_do_not_contradict_each_other() {
        assert_eq!(
            errors(
                json!({"type": "Container", "min": {"cpu": "2"}, "default": {"cpu": "3"}, "defaultRequest": {"cpu": "4"},
                "max": {"cpu": "1"}})
            ),
            [
                r#"spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1"#,
                r#"spec.limits[0].defaultRequest[cpu]: Invalid value: "4": default request value 4 is greater than max value 1"#,
                r#"spec.limits[0].defaultRequest[cpu]: Invalid value: "4": default request value 4 is greater than default limit value 3"#,
                r#"spec.limits[0].default[cpu]: Invalid value: "1": default value 3 is greater than max value 1"#,
            ]
        );
        assert_eq!(
            errors(
                json!({"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}})
            ),
            [
                r#"spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000"#
            ]
        );
    }

    #[test]
    fn pods_have_no_defaults_and_claims_have_bounds() {
        assert_eq!(
            errors(json!({"type": "Pod", "default": {"cpu": "1"}})),
            ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"]
        );
        assert_eq!(
            errors(json!({"type": "PersistentVolumeClaim"})),
            [
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided"
            ]
        );
    }
}
