//! OpenAPI documents of the kinds in the table, as far as clients read them: `kubectl explain`, `kubectl apply` (which makes
//! strategic merge patches by the merge keys found here) and its check that the server validates fields.

mod paths;
mod protobuf;
mod schemas;

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value, json};

use self::schemas::Dialect;
use super::discovery::Group;

/// `/openapi/v3`: where the document of each group and version is; the hash in its address changes with it.
pub(super) fn index(groups: &[Group]) -> Value {
    let mut paths = Map::new();
    for group in groups {
        for version in &group.versions {
            let path = group.path(version);
            let mut hasher = DefaultHasher::new();
            group_document(group, version).to_string().hash(&mut hasher);
            let address = format!("/openapi/v3/{path}?hash={:016X}", hasher.finish());
            paths.insert(path, json!({ "serverRelativeURL": address }));
        }
    }
    json!({ "paths": paths })
}

/// `/openapi/v3/api/v1`, `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn v3(groups: &[Group], path: &[&str]) -> Option<Value> {
    let (name, version) = match *path {
        ["api", version] => ("", version),
        ["apis", name, version] if !name.is_empty() => (name, version),
        _ => return None,
    };
    let group = groups.iter().find(|group| group.name == name)?;
    group.versions.iter().find(|known| *known == version).map(|version| group_document(group, version))
}

fn group_document(group: &Group, version: &str) -> Value {
    let mut all_paths = Map::new();
    let mut all_schemas = Map::new();
    for resource in group.resources(version) {
        let name = schemas::add(resource, Dialect::V3, &mut all_schemas);
        paths::add(group, resource, &name, Dialect::V3, &mut all_paths);
    }
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": all_paths,
        "components": {"schemas": all_schemas},
    })
}

/// `/openapi/v2`: all kinds in one Swagger 2.0 document.
pub(super) fn v2(groups: &[Group]) -> Value {
    let mut all_paths = Map::new();
    let mut definitions = Map::new();
    for group in groups {
        for version in &group.versions {
            for resource in group.resources(version) {
                let name = schemas::add(resource, Dialect::V2, &mut definitions);
                paths::add(group, resource, &name, Dialect::V2, &mut all_paths);
            }
        }
    }
    json!({
        "swagger": "2.0",
        "info": info(),
        "paths": all_paths,
        "definitions": definitions,
    })
}

/// `/openapi/v2` in protobuf.
pub(super) fn v2_protobuf(groups: &[Group]) -> Vec<u8> {
    protobuf::document(&v2(groups))
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": "v1.36.2+orchestra"})
}

#[cfg(test)]
mod tests;
