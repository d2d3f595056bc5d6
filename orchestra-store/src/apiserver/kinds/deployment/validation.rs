//! Checks of Deployments (`pkg/apis/apps/validation`).

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::json;

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    kinds::workload,
};

const PERCENT: &str = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/// What is wrong with the spec.
pub(super) fn spec(deployment: &Deployment) -> Errors {
    let path = Path::new("spec");
    let Some(spec) = &deployment.spec else { return vec![Error::required(&path, "")] };
    let mut errors = Errors::new();
    errors.extend(workload::not_negative(spec.replicas, &path.child("replicas")));
    errors.extend(workload::selector_and_template(&spec.selector, &spec.template, &path));
    errors.extend(strategy(spec.strategy.as_ref(), &path.child("strategy")));
    errors.extend(workload::not_negative(spec.min_ready_seconds, &path.child("minReadySeconds")));
    errors.extend(workload::not_negative(spec.revision_history_limit, &path.child("revisionHistoryLimit")));
    if let Some(deadline) = spec.progress_deadline_seconds {
        let path = path.child("progressDeadlineSeconds");
        errors.extend(workload::not_negative(Some(deadline), &path));
        if deadline <= spec.min_ready_seconds.unwrap_or_default() {
            errors.push(Error::invalid(&path, deadline, "must be greater than minReadySeconds"));
        }
    }
    errors
}

fn strategy(strategy: Option<&DeploymentStrategy>, path: &Path) -> Errors {
    let Some(strategy) = strategy else { return Errors::new() };
    let at = path.child("rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            vec![Error::forbidden(&at, "may not be specified when strategy `type` is 'Recreate'")]
        }
        ("Recreate", None) => Errors::new(),
        ("RollingUpdate", Some(rolling)) => rolling_update(rolling, &at),
        ("RollingUpdate", None) => vec![Error::required(&at, "this should be defaulted and never be nil")],
        (kind, rolling) => {
            // Kubernetes shows its internal form of the whole strategy here.
            let shown = Shown::json(&json!({"Type": kind, "RollingUpdate": rolling}));
            vec![Error::not_supported(path, shown, &["Recreate", "RollingUpdate"])]
        }
    }
}

fn rolling_update(rolling: &RollingUpdateDeployment, path: &Path) -> Errors {
    let unavailable = path.child("maxUnavailable");
    let mut errors = Errors::new();
    let (max_unavailable, max_surge) = (rolling.max_unavailable.as_ref(), rolling.max_surge.as_ref());
    errors.extend(max_unavailable.and_then(|value| amount(value, &unavailable)));
    errors.extend(max_surge.and_then(|value| amount(value, &path.child("maxSurge"))));
    if number(max_unavailable) == 0 && number(max_surge) == 0 {
        let shown = max_unavailable.map_or_else(|| Shown::from(0), Shown::json);
        errors.push(Error::invalid(&unavailable, shown, "may not be 0 when `maxSurge` is 0"));
    }
    if let Some(value @ IntOrString::String(text)) = max_unavailable
        && percent(text).is_some_and(|percent| percent > 100)
    {
        errors.push(Error::invalid(&unavailable, Shown::json(value), "must not be greater than 100%"));
    }
    errors
}

/// An error if the value is neither a number of pods nor a share of them.
fn amount(value: &IntOrString, path: &Path) -> Option<Error> {
    match value {
        IntOrString::Int(number) => workload::not_negative(Some(*number), path),
        IntOrString::String(text) => percent(text).is_none().then(|| Error::invalid(path, Shown::json(value), PERCENT)),
    }
}

fn number(value: Option<&IntOrString>) -> i64 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => i64::from(*number),
        Some(IntOrString::String(text)) => percent(text).unwrap_or_default(),
    }
}

/// The number of a percentage; one with more digits than fit is as large as can be.
fn percent(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('%')?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(i64::MAX))
}
