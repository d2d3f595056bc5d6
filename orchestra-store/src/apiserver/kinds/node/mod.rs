//! Nodes (`pkg/registry/core/node`).

mod columns;
mod resources;
mod taint;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec};
use serde_json::Value;

use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    registry::{Resource, Subresource},
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::ip,
};

/// The rules of nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nodes;

/// The row of nodes.
pub fn row() -> Resource {
    new_row(Nodes)
        .cluster_scoped()
        .short_names(&["no"])
        .subresources(&[Subresource::Status, Subresource::Proxy])
        .stored_as("minions")
}

impl Strategy for Nodes {
    type Object = Node;
    type Wire = Node;

    fn default(&self, node: &mut Node) {
        agree_on_pod_ranges(node.spec.get_or_insert_default());
        // Kubernetes always writes these two, however empty.
        let status = node.status.get_or_insert_default();
        status.node_info.get_or_insert_default();
        status.daemon_endpoints.get_or_insert_default().kubelet_endpoint.get_or_insert_default();
    }

    fn prepare_for_update(&self, _ctx: &RequestContext, new: &mut Node, old: &Node) {
        new.status = old.status.clone();
    }

    fn validate(&self, _ctx: &RequestContext, node: &Node) -> Errors {
        // Kubernetes has these errors below the metadata.
        let mut errors = taint::validate(node, &Path::new("metadata").child("taints"));
        errors.extend(resources::validate(node));
        errors.extend(pod_ranges(node, &Path::new("spec").child("podCIDRs")));
        errors
    }

    fn validate_update(&self, ctx: &RequestContext, new: &Node, old: &Node) -> Errors {
        let mut errors = self.validate(ctx, new);
        errors.extend(resources::addresses(new));
        errors.extend(identity(new, old));
        errors
    }

    fn validate_status_update(&self, _ctx: &RequestContext, new: &Node, _old: &Node) -> Errors {
        let mut errors = resources::validate(new);
        errors.extend(resources::addresses(new));
        errors
    }

    fn prepare_for_status_update(&self, _ctx: &RequestContext, new: &mut Node, old: &Node) {
        new.spec = old.spec.clone();
    }

    fn fields(&self, node: &Node) -> Vec<String> {
        vec![unschedulable(node).to_string()]
    }

    fn selectable_fields(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn columns(&self) -> &'static [Column] {
        columns::COLUMNS
    }

    fn cells(&self, node: &Node, now: Timestamp) -> Vec<Value> {
        columns::cells(node, now)
    }
}

/// `podCIDR` is the first of `podCIDRs`. One that says something else is of an old client and stands for all of them
/// (`Convert_v1_NodeSpec_To_core_NodeSpec`).
fn agree_on_pod_ranges(spec: &mut NodeSpec) {
    let first = spec.pod_cidrs.as_ref().and_then(|ranges| ranges.first());
    match spec.pod_cidr.as_ref().filter(|range| !range.is_empty()) {
        Some(range) if first != Some(range) => spec.pod_cidrs = Some(vec![range.clone()]),
        None if first.is_some() => spec.pod_cidr = first.cloned(),
        _ => {}
    }
}

/// Each range is one, and there is at most one of each family.
fn pod_ranges(node: &Node, path: &Path) -> Errors {
    let ranges = node.spec.as_ref().and_then(|spec| spec.pod_cidrs.as_deref()).unwrap_or_default();
    let mut errors: Errors =
        ranges.iter().enumerate().filter_map(|(index, range)| ip::range_error(&path.index(index), range)).collect();
    let is_of_six = |range: &String| range.contains(':');
    let agree = match ranges {
        [] | [_] => true,
        [first, second] => is_of_six(first) != is_of_six(second),
        _ => false,
    };
    if !agree {
        let detail = "may specify no more than one CIDR for each IP family";
        errors.push(Error::invalid(path, Shown::json(&ranges), detail));
    }
    errors
}

/// What may be set once: the provider's id, and the addresses of pods.
fn identity(new: &Node, old: &Node) -> Errors {
    let spec = |node: &Node| node.spec.clone().unwrap_or_default();
    let (new, old) = (spec(new), spec(old));
    let path = Path::new("spec");
    let mut errors = Errors::new();
    if old.pod_cidrs.as_ref().is_some_and(|cidrs| !cidrs.is_empty()) && old.pod_cidrs != new.pod_cidrs {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(Error::forbidden(&path.child("podCIDRs"), detail));
    }
    if old.provider_id.as_deref().is_some_and(|id| !id.is_empty()) && old.provider_id != new.provider_id {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden(&path.child("providerID"), detail));
    }
    errors
}

fn unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn status_always_tells_of_the_system() {
        let mut node: Node = object(json!({"metadata": {"name": "n1"}}));
        Nodes.default(&mut node);
        let status = serde_json::to_value(&node).unwrap()["status"].clone();
        assert_eq!(status["daemonEndpoints"], json!({"kubeletEndpoint": {"Port": 0}}));
        assert_eq!(status["nodeInfo"]["kubeletVersion"], "");
    }

    #[test]
    fn an_update_keeps_the_status_and_a_status_update_the_spec() {
        let old: Node = object(json!({"spec": {"unschedulable": true}, "status": {"phase": "Running"}}));
        let mut new: Node = object(json!({}));
        Nodes.prepare_for_update(&context(), &mut new, &old);
        assert_eq!(new.status, old.status);
        Nodes.prepare_for_status_update(&context(), &mut new, &old);
        assert_eq!(new.spec, old.spec);
        assert_eq!(Nodes.fields(&old), ["true"]);
    }

    #[test]
    fn the_two_fields_for_the_range_of_pods_agree() {
        for (given, expected) in [
            (json!({"podCIDR": "10.0.0.0/24"}), "10.0.0.0/24"),
            (json!({"podCIDRs": ["10.0.1.0/24"]}), "10.0.1.0/24"),
            (json!({"podCIDR": "10.0.2.0/24", "podCIDRs": ["10.0.3.0/24"]}), "10.0.2.0/24"),
        ] {
            let mut node: Node = object(json!({"spec": given}));
            Nodes.default(&mut node);
            let spec = serde_json::to_value(&node).unwrap()["spec"].clone();
            assert_eq!(spec, json!({"podCIDR": expected, "podCIDRs": [expected]}));
        }
        let mut node: Node = object(json!({"spec": {"podCIDR": "x"}}));
        Nodes.default(&mut node);
        let wrong =
            r#"spec.podCIDRs[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#;
        assert_eq!(texts(&Nodes.validate(&context(), &node)), [wrong]);
    }

    #[test]
    fn the_provider_id_is_set_once() {
        let old: Node = object(json!({"spec": {"providerID": "a"}}));
        let new: Node = object(json!({"spec": {"providerID": "b"}}));
        assert_eq!(
            texts(&Nodes.validate_update(&context(), &new, &old)),
            ["spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"]
        );
    }

    #[test]
    fn what_a_node_has_and_where_it_is_makes_sense() {
        let node: Node = object(json!({"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.1.0/24"]}, "status": {
            "capacity": {"cpu": "-1", "pods": "1500m", "example.org/gpu": "500m", "memory": "1500m"},
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
        }}));
        let amounts = [
            r#"status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0"#,
            r#"status.capacity.example.org/gpu: Invalid value: "500m": must be an integer"#,
            r#"status.capacity.pods: Invalid value: "1500m": must be an integer"#,
        ];
        let address = r#"status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"10.0.0.1"}"#;
        let ranges = r#"spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.1.0/24"]: may specify no more than one CIDR for each IP family"#;
        assert_eq!(texts(&Nodes.validate(&context(), &node)), [&amounts[..], &[ranges]].concat());
        let status = texts(&Nodes.validate_status_update(&context(), &node, &node));
        assert_eq!(status, [&amounts[..], &[address]].concat());
    }
}
