//! The resources of a group and version, and what can be done with each.

use serde_json::{Value, json};

use crate::apiserver::{
    aggregation::AggregatedResource,
    registry::{Registry, Resource, Subresource},
};

/// The verbs of a resource, sorted.
pub(super) fn verbs(resource: &Resource) -> Vec<&'static str> {
    if resource.answers.is_some() {
        return vec!["create"];
    }
    let mut verbs = vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    if !resource.deletes_collections() {
        verbs.retain(|verb| *verb != "deletecollection");
    }
    verbs
}

/// A subresource as discovery shows it.
pub(in crate::apiserver) struct Part<'a> {
    pub(in crate::apiserver) name: &'static str,
    /// Group, version and kind, where the body is not the resource's own kind.
    pub(in crate::apiserver) other: Option<(&'static str, &'static str)>,
    pub(in crate::apiserver) kind: &'a str,
    pub(in crate::apiserver) verbs: &'static [&'static str],
}

/// The subresources of a resource, by name.
pub(in crate::apiserver) fn parts(resource: &Resource) -> Vec<Part<'_>> {
    let own = resource.kind.as_str();
    let mut parts: Vec<Part<'_>> = resource
        .subresources
        .iter()
        .map(|subresource| {
            let (other, kind, verbs): (_, _, &[&str]) = match subresource {
                Subresource::Status => (None, own, &["get", "patch", "update"]),
                Subresource::Scale => (Some(("autoscaling", "v1")), "Scale", &["get", "patch", "update"]),
                Subresource::Binding => (None, "Binding", &["create"]),
                Subresource::Eviction => (Some(("policy", "v1")), "Eviction", &["create"]),
                Subresource::Log => (None, own, &["get"]),
                Subresource::EphemeralContainers | Subresource::Resize => (None, own, &["get", "patch", "update"]),
                Subresource::Exec => (None, "PodExecOptions", &["create", "get"]),
                Subresource::Attach => (None, "PodAttachOptions", &["create", "get"]),
                Subresource::PortForward => (None, "PodPortForwardOptions", &["create", "get"]),
                Subresource::Proxy => (None, proxy_options(own), &["create", "delete", "get", "patch", "update"]),
                Subresource::Finalize => (None, own, &["update"]),
                Subresource::Token => (Some(("authentication.k8s.io", "v1")), "TokenRequest", &["create"]),
            };
            Part { name: subresource.name(), other, kind, verbs }
        })
        .collect();
    parts.sort_by_key(|part| part.name);
    parts
}

/// The kind of the options of a proxy to `kind`.
fn proxy_options(kind: &str) -> &'static str {
    match kind {
        "Node" => "NodeProxyOptions",
        "Service" => "ServiceProxyOptions",
        _ => "PodProxyOptions",
    }
}

/// `/api/v1`, `/apis/GROUP/VERSION`: an `APIResourceList`.
pub(super) fn list(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let rows = registry.rows();
    let rows: Vec<_> = rows.iter().filter(|row| row.group == group && row.version == version).collect();
    let Some(first) = rows.first() else { return of_another(registry, group, version) };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": first.api_version()});
    if !group.is_empty() {
        // The core group's list has none, by a quirk that clients know.
        list["apiVersion"] = "v1".into();
    }
    let bindings = has_bindings(rows.iter().map(|row| &***row)).then(|| {
        json!({
            "name": "bindings", "singularName": "binding", "namespaced": true, "kind": "Binding", "verbs": ["create"],
        })
    });
    list["resources"] = bindings.into_iter().chain(rows.iter().flat_map(|row| entries(row))).collect();
    Some(list)
}

/// The list of a version that another server serves.
fn of_another(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let api = registry.aggregated().into_iter().find(|api| api.group == group && api.version == version)?;
    let entry = |resource: &AggregatedResource| {
        json!({
            "name": resource.plural,
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": resource.verbs,
        })
    };
    let resources: Vec<Value> = api.resources.iter().map(entry).collect();
    let group_version = format!("{group}/{version}");
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources,
    }))
}

/// Whether there is the endpoint for bindings beside the one that pods have.
pub(super) fn has_bindings<'a>(mut rows: impl Iterator<Item = &'a Resource>) -> bool {
    rows.any(|row| row.group.is_empty() && row.has(Subresource::Binding))
}

fn entries(resource: &Resource) -> Vec<Value> {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let parts = parts(resource).into_iter().map(|part| {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, part.name),
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": part.kind,
            "verbs": part.verbs,
        });
        if let Some((group, version)) = part.other {
            entry["group"] = group.into();
            entry["version"] = version.into();
        }
        entry
    });
    std::iter::once(entry).chain(parts).collect()
}
