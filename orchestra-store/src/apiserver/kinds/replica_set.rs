//! ReplicaSets (`pkg/registry/apps/replicaset`).

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{ReplicaSet, ReplicaSetStatus},
    autoscaling::v1::Scale,
};
use serde_json::{Value, json};

use super::{column, pod, workload};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path},
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The rules of replica sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplicaSets;

/// The row of replica sets.
pub fn row() -> Resource {
    new_row(ReplicaSets)
        .short_names(&["rs"])
        .categories(&["all"])
        .subresources(&[Subresource::Status, Subresource::Scale])
}

impl Strategy for ReplicaSets {
    type Object = ReplicaSet;
    type Wire = ReplicaSet;

    fn default(&self, set: &mut ReplicaSet) {
        let spec = set.spec.get_or_insert_default();
        spec.replicas.get_or_insert(1);
        pod::template::default(spec.template.get_or_insert_default());
        set.status.get_or_insert_default();
    }

    fn prepare_for_create(&self, _ctx: &RequestContext, set: &mut ReplicaSet) {
        set.status = Some(ReplicaSetStatus::default());
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut ReplicaSet, old: &ReplicaSet) {
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, set: &ReplicaSet) -> Errors {
        let path = Path::new("spec");
        let Some(spec) = &set.spec else { return vec![Error::required(&path, "")] };
        let mut errors = Errors::new();
        errors.extend(workload::not_negative(spec.replicas, &path.child("replicas")));
        errors.extend(workload::not_negative(spec.min_ready_seconds, &path.child("minReadySeconds")));
        let template = spec.template.clone().unwrap_or_default();
        errors.extend(workload::selector_and_template(&spec.selector, &template, &path));
        errors
    }

    fn validate_update(&self, ctx: &RequestContext, new: &ReplicaSet, old: &ReplicaSet) -> Errors {
        let mut errors = self.validate(ctx, new);
        if let (Some(new), Some(old)) = (&new.spec, &old.spec) {
            errors.extend(workload::same_selector(&new.selector, &old.selector));
        }
        errors
    }

    fn warnings(&self, _ctx: &RequestContext, new: &ReplicaSet, old: Option<&ReplicaSet>) -> Vec<String> {
        let template = new.spec.as_ref().and_then(|spec| spec.template.as_ref());
        workload::warnings(&new.metadata, template, old.map(|old| &old.metadata))
    }

    fn changes_generation(&self, new: &ReplicaSet, old: &ReplicaSet) -> Option<bool> {
        Some(new.spec != old.spec)
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut ReplicaSet, old: &ReplicaSet) {
        new.spec = old.spec.clone();
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &ReplicaSet, _old: &ReplicaSet) -> Errors {
        new.status.as_ref().map(status).unwrap_or_default()
    }

    fn scale(&self, set: &ReplicaSet) -> Option<Scale> {
        let spec = set.spec.as_ref()?;
        Some(workload::scale(spec.replicas, replicas(set), &spec.selector))
    }

    fn set_replicas(&self, set: &mut ReplicaSet, replicas: i32) {
        set.spec.get_or_insert_default().replicas = Some(replicas);
    }

    fn fields(&self, set: &ReplicaSet) -> Vec<String> {
        vec![replicas(set).to_string()]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["status.replicas"]
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, set: &ReplicaSet, now: Timestamp) -> Vec<Value> {
        let spec = set.spec.clone().unwrap_or_default();
        let status = set.status.clone().unwrap_or_default();
        let mut cells = vec![
            json!(set.metadata.name),
            json!(spec.replicas.unwrap_or_default()),
            json!(status.replicas),
            json!(status.ready_replicas.unwrap_or_default()),
            json!(age::since(set.metadata.creation_timestamp.as_ref(), now)),
        ];
        cells.extend(workload::wide_cells(spec.template.as_ref(), &spec.selector));
        cells
    }
}

fn replicas(set: &ReplicaSet) -> i32 {
    set.status.as_ref().map(|status| status.replicas).unwrap_or_default()
}

/// What is wrong with a status (`ValidateReplicaSetStatus`).
fn status(status: &ReplicaSetStatus) -> Errors {
    let path = Path::new("status");
    let mut errors = Errors::new();
    let counts = [
        ("replicas", Some(status.replicas)),
        ("fullyLabeledReplicas", status.fully_labeled_replicas),
        ("readyReplicas", status.ready_replicas),
        ("availableReplicas", status.available_replicas),
        ("terminatingReplicas", status.terminating_replicas),
    ];
    for (name, count) in counts {
        errors.extend(workload::not_negative(count, &path.child(name)));
    }
    errors.extend(workload::not_negative(status.observed_generation, &path.child("observedGeneration")));
    for (name, count) in &counts[1..4] {
        if let Some(count) = count.filter(|count| *count > status.replicas) {
            errors.push(Error::invalid(&path.child(name), count, "cannot be greater than status.replicas"));
        }
    }
    let available = status.available_replicas.unwrap_or_default();
    if available > status.ready_replicas.unwrap_or_default() {
        errors.push(Error::invalid(
            &path.child("availableReplicas"),
            available,
            "cannot be greater than readyReplicas",
        ));
    }
    errors
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Desired",
        kind: "integer",
        format: "",
        description: "Replicas is the number of desired pods. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset",
        priority: 0,
    },
    Column {
        name: "Current",
        kind: "integer",
        format: "",
        description: "Replicas is the most recently observed number of non-terminating pods. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset",
        priority: 0,
    },
    Column {
        name: "Ready",
        kind: "integer",
        format: "",
        description: "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.",
        priority: 0,
    },
    column::AGE,
    column::CONTAINERS,
    column::IMAGES,
    Column {
        name: "Selector",
        kind: "string",
        format: "",
        description: "Selector is a label query over pods that should match the replica count. Label keys and values that must match in order to be controlled by this replica set. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
        priority: 1,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    fn set() -> ReplicaSet {
        let mut set = object(json!({"metadata": {"name": "web"}, "spec": {
            "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}));
        ReplicaSets.default(&mut set);
        set
    }

    #[test]
    fn a_valid_set_has_its_cells() {
        assert!(ReplicaSets.validate(&context(), &set()).is_empty());
        let cells = ReplicaSets.cells(&set(), Timestamp::UNIX_EPOCH);
        assert_eq!(json!(cells), json!(["web", 2, 0, 0, "<unknown>", "c", "i", "app=web"]));
        assert_eq!(ReplicaSets.fields(&set()), ["0"]);
    }

    #[test]
    fn no_more_pods_are_ready_than_there_are() {
        let mut new = set();
        new.status = object(json!({"replicas": 1, "readyReplicas": 2}));
        assert_eq!(
            texts(&ReplicaSets.validate_status_update(&context(), &new, &set())),
            ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]
        );
    }
}
