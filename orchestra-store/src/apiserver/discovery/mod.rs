//! What a client learns first: which groups, versions and resources there are, what they look like, and whether the server is
//! well.

mod aggregated;
mod groups;
pub(super) mod health;
mod resources;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

pub(super) use self::{
    groups::Group,
    resources::{Part, parts},
};
use super::{openapi, registry::Registry, status::ApiError};

/// A document with its content type.
pub type Document = (&'static str, Bytes);

const JSON: &str = "application/json";
const SWAGGER_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers requests that are not about objects; `None` for all others, also for a group or version that is not served.
///
/// Documents are made once and kept until a row is added to the table.
pub fn respond(
    registry: &Registry,
    path: &str,
    method: &Method,
    accept: Option<&str>,
) -> Option<Result<Document, ApiError>> {
    let path = match path {
        "/" => "/",
        path => path.trim_end_matches('/'),
    };
    let accept = accept.unwrap_or_default();
    let steps: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    let document = match steps.as_slice() {
        // Objects.
        ["api", _, _, ..] | ["apis", _, _, _, _, ..] => return None,
        ["openapi", "v2"] if asks_for_protobuf(accept) => {
            let make = || Some(Bytes::from(openapi::v2_protobuf(&Group::all(registry))));
            registry.document("openapi v2 in protobuf", make).map(|document| (SWAGGER_PROTOBUF, document))
        }
        ["openapi", "v2"] => cached(registry, path, JSON, || Some(openapi::v2(&Group::all(registry)))),
        ["openapi", "v3"] => cached(registry, path, TEXT, || Some(openapi::index(&Group::all(registry)))),
        ["openapi", "v3", ..] if asks_for_protobuf(accept) => return Some(Err(ApiError::not_acceptable(JSON))),
        ["openapi", "v3", of @ ..] => cached(registry, path, JSON, || openapi::v3(&Group::all(registry), of)),
        ["api" | "apis"] => match aggregated::Version::asked(accept) {
            Some(version) => {
                let key = format!("{path} as {version:?}");
                cached(registry, &key, version.content_type(), || {
                    Some(aggregated::list(&Group::all(registry), steps[0] == "api", version))
                })
            }
            None => cached(registry, path, JSON, || plain(registry, &steps)),
        },
        _ => cached(registry, path, JSON, || plain(registry, &steps)),
    };
    // Only what belongs to an API asks for the method.
    match document? {
        _ if *method != Method::GET && is_below_an_api(registry, path) => Some(Err(ApiError::method_not_allowed())),
        document => Some(Ok(document)),
    }
}

/// Whether a path belongs to an API, so that errors there have a `Status`.
pub fn is_below_an_api(registry: &Registry, path: &str) -> bool {
    let mut steps = path.strip_prefix('/').unwrap_or_default().split('/');
    match steps.next() {
        Some("api" | "version") => true,
        Some("apis") => {
            let group = steps.next().unwrap_or_default();
            group.is_empty() && steps.next().is_none()
                || registry.rows().iter().any(|row| row.group == group)
                || registry.aggregated().iter().any(|api| api.group == group)
        }
        _ => false,
    }
}

fn asks_for_protobuf(accept: &str) -> bool {
    !accept.is_empty() && accept.split(',').all(|format| format.contains("protobuf"))
}

fn cached(
    registry: &Registry,
    key: &str,
    content_type: &'static str,
    make: impl FnOnce() -> Option<Value>,
) -> Option<Document> {
    let document = registry.document(key, || serde_json::to_vec(&make()?).ok().map(Bytes::from))?;
    Some((content_type, document))
}

fn plain(registry: &Registry, steps: &[&str]) -> Option<Value> {
    match *steps {
        [""] => Some(paths(&Group::all(registry))),
        ["version"] => Some(version()),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})),
        ["apis"] => Some(groups::list(&Group::all(registry))),
        ["apis", group] => Group::all(registry).iter().find(|found| found.name == group).map(groups::document),
        // kubectl asks for these before it says that it does not know a kind. There are none.
        ["apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions"] => Some(json!({
            "kind": "CustomResourceDefinitionList", "apiVersion": "apiextensions.k8s.io/v1",
            "metadata": {"resourceVersion": "1"}, "items": [],
        })),
        ["api", version] => resources::list(registry, "", version),
        ["apis", group, version] if !group.is_empty() => resources::list(registry, group, version),
        _ => None,
    }
}

/// What `/` lists.
fn paths(groups: &[Group]) -> Value {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/healthz/etcd", "/healthz/log", "/healthz/ping", "/livez", "/openapi/v2"]
            .into_iter()
            .chain(["/openapi/v3", "/openapi/v3/", "/readyz", "/version"])
            .map(str::to_owned)
            .collect();
    for group in groups {
        if !group.name.is_empty() {
            paths.push(format!("/apis/{}", group.name));
        }
        paths.extend(group.versions.iter().map(|version| format!("/{}", group.path(version))));
    }
    paths.sort();
    json!({ "paths": paths })
}

fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.2+orchestra",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, go_architecture()),
    })
}

fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests;
