//! The API groups with their versions, in the order of kube-apiserver's priorities.

use std::{cmp::Reverse, sync::Arc};

use serde_json::{Value, json};

use crate::apiserver::{
    aggregation::{AggregatedApi, AggregatedResource},
    registry::{KUBERNETES_GROUPS, Registry, Resource},
};

/// An API group; the core group has no name.
#[derive(Clone, Debug)]
pub(in crate::apiserver) struct Group {
    pub(in crate::apiserver) name: String,
    /// The preferred one first.
    pub(in crate::apiserver) versions: Vec<String>,
    resources: Vec<Arc<Resource>>,
    /// What other servers serve of it.
    aggregated: Vec<Arc<AggregatedApi>>,
}

impl Group {
    /// All groups of the table.
    pub(in crate::apiserver) fn all(registry: &Registry) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for resource in registry.rows() {
            Self::of(&mut groups, &resource.group, &resource.version).resources.push(resource);
        }
        for api in registry.aggregated() {
            Self::of(&mut groups, &api.group, &api.version).aggregated.push(api);
        }
        for group in &mut groups {
            group.versions.sort_by_key(|version| Reverse(rank(version)));
        }
        let place =
            |name: &str| KUBERNETES_GROUPS.iter().position(|known| *known == name).unwrap_or(KUBERNETES_GROUPS.len());
        groups.sort_by(|a, b| place(&a.name).cmp(&place(&b.name)).then_with(|| a.name.cmp(&b.name)));
        groups
    }

    /// The group of that name, which has the version from now on.
    fn of<'a>(groups: &'a mut Vec<Self>, name: &str, version: &str) -> &'a mut Self {
        let index = groups.iter().position(|group| group.name == name).unwrap_or_else(|| {
            let (versions, resources, aggregated) = (Vec::new(), Vec::new(), Vec::new());
            groups.push(Self { name: name.to_owned(), versions, resources, aggregated });
            groups.len() - 1
        });
        let group = &mut groups[index];
        if !group.versions.iter().any(|other| other == version) {
            group.versions.push(version.to_owned());
        }
        group
    }

    /// What other servers serve of a version.
    pub(super) fn aggregated<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a AggregatedResource> + 'a {
        self.aggregated.iter().filter(move |api| api.version == version).flat_map(|api| &api.resources)
    }

    /// Where a version is served: `api/v1`, `apis/apps/v1`.
    pub(in crate::apiserver) fn path(&self, version: &str) -> String {
        if self.name.is_empty() { format!("api/{version}") } else { format!("apis/{}/{version}", self.name) }
    }

    /// The resources of a version, by plural.
    pub(in crate::apiserver) fn resources<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a Resource> + 'a {
        self.resources.iter().map(Arc::as_ref).filter(move |resource| resource.version == version)
    }
}

/// The order of versions: v2 before v1 before v1beta1 before v1alpha1 before anything else.
fn rank(version: &str) -> (u8, u32, u32) {
    let parsed = || {
        let rest = version.strip_prefix('v')?;
        let major_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..major_end].parse().ok()?;
        let (stability, minor) = match &rest[major_end..] {
            "" => return Some((3, major, 0)),
            stage if stage.starts_with("beta") => (2, &stage[4..]),
            stage if stage.starts_with("alpha") => (1, &stage[5..]),
            _ => return None,
        };
        Some((stability, major, minor.parse().ok()?))
    };
    parsed().unwrap_or((0, 0, 0))
}

/// `/apis`: an `APIGroupList`.
pub(super) fn list(groups: &[Group]) -> Value {
    let groups: Vec<Value> = groups.iter().filter(|group| !group.name.is_empty()).map(entry).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`: an `APIGroup`.
pub(super) fn document(group: &Group) -> Value {
    let mut document = entry(group);
    document["kind"] = "APIGroup".into();
    document["apiVersion"] = "v1".into();
    document
}

fn entry(group: &Group) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{}/{version}", group.name), "version": version});
    let versions: Vec<Value> = group.versions.iter().map(version).collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group.name, "versions": versions, "preferredVersion": preferred})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stable_versions_come_first() {
        let mut versions = ["v1alpha1", "v1", "foo", "v2", "v1beta2", "v1beta1"];
        versions.sort_by_key(|version| Reverse(rank(version)));
        assert_eq!(versions, ["v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]);
    }
}
