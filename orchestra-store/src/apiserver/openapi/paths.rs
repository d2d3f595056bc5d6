//! The operations on a resource: enough to tell which there are, what they take, and that fields are validated.

use serde_json::{Map, Value, json};

use super::schemas::Dialect;
use crate::apiserver::{
    discovery::{Group, Part, parts},
    patch::schema as patch_schema,
    registry::Resource,
};

/// The media types of patches; the last is for built-in kinds alone.
const PATCHES: [&str; 3] =
    ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json"];

/// The patches that a resource takes.
fn patches(resource: &Resource) -> &'static [&'static str] {
    let is_built_in = patch_schema::root(&resource.group, &resource.kind).is_some();
    if is_built_in { &PATCHES } else { &PATCHES[..2] }
}

/// What an operation does, on which kind.
struct Operation<'a> {
    method: &'static str,
    action: &'static str,
    /// Group, version and kind.
    gvk: (&'a str, &'a str, &'a str),
    /// The kind's schema, where there is one.
    schema: Option<&'a str>,
    /// The patches it takes if it is one.
    patches: &'static [&'static str],
}

/// Adds the paths of a resource.
pub(super) fn add(group: &Group, resource: &Resource, schema: &str, dialect: Dialect, into: &mut Map<String, Value>) {
    let base = format!("/{}", group.path(&resource.version));
    let plural = &resource.plural;
    let gvk = (resource.group.as_str(), resource.version.as_str(), resource.kind.as_str());
    let own = |method, action| Operation { method, action, gvk, schema: Some(schema), patches: patches(resource) };
    let home = if resource.namespaced {
        format!("{base}/namespaces/{{namespace}}/{plural}")
    } else {
        format!("{base}/{plural}")
    };
    if resource.answers.is_some() {
        let parameters: &[&str] = if resource.namespaced { &["namespace"] } else { &[] };
        into.insert(home, item(&[own("post", "post")], dialect, parameters));
        return;
    }
    if resource.namespaced {
        into.insert(format!("{base}/{plural}"), item(&[own("get", "list")], dialect, &[]));
    }
    let mut parameters: Vec<&str> = if resource.namespaced { vec!["namespace"] } else { Vec::new() };
    let many = [own("get", "list"), own("post", "post"), own("delete", "deletecollection")];
    into.insert(home.clone(), item(&many, dialect, &parameters));
    parameters.push("name");
    let one = [own("get", "get"), own("put", "put"), own("patch", "patch"), own("delete", "delete")];
    into.insert(format!("{home}/{{name}}"), item(&one, dialect, &parameters));
    for part in parts(resource) {
        let operations = of_part(&part, resource, schema);
        into.insert(format!("{home}/{{name}}/{}", part.name), item(&operations, dialect, &parameters));
    }
}

fn of_part<'a>(part: &Part<'a>, resource: &'a Resource, schema: &'a str) -> Vec<Operation<'a>> {
    let (group, version) = part.other.unwrap_or((&resource.group, &resource.version));
    let schema = (part.kind == resource.kind).then_some(schema);
    let operation = |verb: &&str| {
        let (method, action) = match *verb {
            "create" => ("post", "post"),
            "update" => ("put", "put"),
            "patch" => ("patch", "patch"),
            "delete" => ("delete", "delete"),
            _ => ("get", "get"),
        };
        Operation { method, action, gvk: (group, version, part.kind), schema, patches: patches(resource) }
    };
    part.verbs.iter().map(operation).collect()
}

fn item(operations: &[Operation<'_>], dialect: Dialect, path_parameters: &[&str]) -> Value {
    let mut item: Map<String, Value> =
        operations.iter().map(|operation| (operation.method.to_owned(), document(operation, dialect))).collect();
    let parameters: Vec<Value> =
        path_parameters.iter().map(|name| parameter(name, "path", "string", dialect)).collect();
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    Value::Object(item)
}

fn document(operation: &Operation<'_>, dialect: Dialect) -> Value {
    let (group, version, kind) = operation.gvk;
    let names: &[(&str, &str)] = match operation.action {
        "list" => &[
            ("labelSelector", "string"),
            ("fieldSelector", "string"),
            ("limit", "integer"),
            ("continue", "string"),
            ("resourceVersion", "string"),
            ("resourceVersionMatch", "string"),
            ("timeoutSeconds", "integer"),
            ("allowWatchBookmarks", "boolean"),
            ("sendInitialEvents", "boolean"),
            ("watch", "boolean"),
        ],
        "post" | "put" | "patch" => &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")],
        "delete" => &[("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string")],
        "deletecollection" => &[("labelSelector", "string"), ("fieldSelector", "string"), ("dryRun", "string")],
        _ => &[],
    };
    let mut parameters: Vec<Value> = names.iter().map(|(name, ty)| parameter(name, "query", ty, dialect)).collect();
    let schema = operation.schema.map_or_else(|| json!({"type": "object"}), |name| dialect.reference(name));
    let mut document = json!({
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    });
    let body = match operation.action {
        "post" | "put" => Some((&["*/*"][..], schema.clone())),
        "patch" => Some((operation.patches, json!({"type": "object"}))),
        _ => None,
    };
    match dialect {
        Dialect::V2 => {
            if let Some((consumes, schema)) = body {
                document["consumes"] = json!(consumes);
                parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": schema}));
            }
            document["produces"] = json!(["application/json"]);
            document["responses"] = json!({"200": {"description": "OK", "schema": schema}});
        }
        Dialect::V3 => {
            if let Some((consumes, schema)) = body {
                let content: Map<String, Value> =
                    consumes.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect();
                document["requestBody"] = json!({"required": true, "content": content});
            }
            let content = json!({"application/json": {"schema": schema}});
            document["responses"] = json!({"200": {"description": "OK", "content": content}});
        }
    }
    document["parameters"] = parameters.into();
    document
}

fn parameter(name: &str, place: &str, ty: &str, dialect: Dialect) -> Value {
    let mut parameter = json!({"name": name, "in": place, "uniqueItems": true});
    if place == "path" {
        parameter["required"] = true.into();
    }
    match dialect {
        Dialect::V2 => parameter["type"] = ty.into(),
        Dialect::V3 => {
            if let Value::Object(fields) = &mut parameter {
                fields.remove("uniqueItems");
            }
            parameter["schema"] = json!({"type": ty, "uniqueItems": true});
        }
    }
    parameter
}
