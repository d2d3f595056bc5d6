//! All of discovery in two documents: `APIGroupDiscoveryList` of `apidiscovery.k8s.io`.

use serde_json::{Value, json};

use super::{
    groups::Group,
    resources::{self, Part},
};
use crate::apiserver::{aggregation::AggregatedResource, registry::Resource};

/// The version of the list that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V2Beta1,
}

impl Version {
    /// The first version that an `Accept` header asks for before it settles for plain discovery.
    pub(super) fn asked(accept: &str) -> Option<Self> {
        for clause in accept.split(',') {
            let parameters: Vec<&str> = clause.split(';').map(str::trim).collect();
            match parameters.as_slice() {
                ["application/json" | "*/*"] => return None,
                ["application/json", rest @ ..]
                    if rest.contains(&"g=apidiscovery.k8s.io") && rest.contains(&"as=APIGroupDiscoveryList") =>
                {
                    if rest.contains(&"v=v2") {
                        return Some(Self::V2);
                    }
                    if rest.contains(&"v=v2beta1") {
                        return Some(Self::V2Beta1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::V2 => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            Self::V2Beta1 => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        }
    }

    fn api_version(self) -> &'static str {
        match self {
            Self::V2 => "apidiscovery.k8s.io/v2",
            Self::V2Beta1 => "apidiscovery.k8s.io/v2beta1",
        }
    }
}

/// The list of the core group (`/api`) or of all others (`/apis`).
pub(super) fn list(groups: &[Group], core: bool, version: Version) -> Value {
    let items: Vec<Value> = groups.iter().filter(|group| group.name.is_empty() == core).map(item).collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": version.api_version(), "metadata": {}, "items": items})
}

fn item(group: &Group) -> Value {
    let version = |version: &String| {
        let bindings = resources::has_bindings(group.resources(version)).then(|| {
            json!({
                "resource": "bindings",
                "responseKind": {"group": "", "version": "", "kind": "Binding"},
                "scope": "Namespaced",
                "singularResource": "binding",
                "verbs": ["create"],
            })
        });
        let own = group.resources(version).map(resource);
        let others = group.aggregated(version).map(of_another);
        let resources: Vec<Value> = bindings.into_iter().chain(own).chain(others).collect();
        json!({"version": version, "resources": resources, "freshness": "Current"})
    };
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let metadata = if group.name.is_empty() { json!({}) } else { json!({"name": group.name}) };
    json!({"metadata": metadata, "versions": versions})
}

fn resource(resource: &Resource) -> Value {
    let mut entry = json!({
        "resource": resource.plural,
        // An own kind has neither group nor version: they are those of the list.
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resources::verbs(resource),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let parts: Vec<Value> = resources::parts(resource).iter().map(part).collect();
    if !parts.is_empty() {
        entry["subresources"] = Value::Array(parts);
    }
    entry
}

fn of_another(resource: &AggregatedResource) -> Value {
    json!({
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": "",
        "verbs": resource.verbs,
    })
}

fn part(part: &Part<'_>) -> Value {
    let (group, version) = part.other.unwrap_or_default();
    json!({
        "subresource": part.name,
        "responseKind": {"group": group, "version": version, "kind": part.kind},
        "verbs": part.verbs,
    })
}
