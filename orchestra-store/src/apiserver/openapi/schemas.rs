//! The schemas of the kinds, with the extensions that Kubernetes' clients look for.

use serde_json::{Map, Value, json};

use crate::apiserver::{patch::schema as patch_schema, registry::Resource};

/// Which OpenAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    V2,
    V3,
}

impl Dialect {
    /// A reference to a schema.
    pub(super) fn reference(self, name: &str) -> Value {
        match self {
            Self::V2 => json!({"$ref": format!("#/definitions/{name}")}),
            Self::V3 => json!({"$ref": format!("#/components/schemas/{name}")}),
        }
    }
}

const V3_PREFIX: &str = "#/components/schemas/";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

/// Adds the schema of a resource's kind and all that it refers to; gives the name of the kind's own.
pub(super) fn add(resource: &Resource, dialect: Dialect, into: &mut Map<String, Value>) -> String {
    let mut root = resource.rules.schema().to_value();
    let mut referred = Map::new();
    let mut name = resource.kind.clone();
    if let Value::Object(root) = &mut root {
        root.remove("$schema");
        if let Some(Value::String(title)) = root.remove("title") {
            name = title;
        }
        if let Some(Value::Object(mut components)) = root.remove("components")
            && let Some(Value::Object(schemas)) = components.remove("schemas")
        {
            referred = schemas;
        }
        let gvk = json!([{"group": resource.group, "kind": resource.kind, "version": resource.version}]);
        root.insert("x-kubernetes-group-version-kind".to_owned(), gvk);
        leave_metadata_optional(root);
    }
    add_one(name.clone(), root, dialect, into);
    for (name, schema) in referred {
        if !into.contains_key(&name) {
            add_one(name, schema, dialect, into);
        }
    }
    name
}

/// The Rust types always have metadata; clients need not send any.
fn leave_metadata_optional(root: &mut Map<String, Value>) {
    let Some(Value::Array(required)) = root.get_mut("required") else { return };
    required.retain(|field| field != "metadata");
    if required.is_empty() {
        root.remove("required");
    }
}

fn add_one(name: String, mut schema: Value, dialect: Dialect, into: &mut Map<String, Value>) {
    let ty = name.strip_prefix("io.k8s.api.").or_else(|| name.strip_prefix("io.k8s.apimachinery.pkg.apis."));
    for patch_schema::Field(field, merge, _) in ty.map(patch_schema::fields).unwrap_or_default() {
        let Some(Value::Object(property)) = schema.pointer_mut(&format!("/properties/{field}")) else { continue };
        if let Some(key) = merge.key() {
            property.insert("x-kubernetes-patch-merge-key".to_owned(), key.into());
        }
        if let Some(strategy) = merge.strategy() {
            property.insert("x-kubernetes-patch-strategy".to_owned(), strategy.into());
        }
    }
    translate(&mut schema, dialect);
    into.insert(name, schema);
}

/// Rewrites what schemars says otherwise than Kubernetes.
fn translate(schema: &mut Value, dialect: Dialect) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| translate(item, dialect)),
        Value::Object(fields) => {
            if fields.get(INT_OR_STRING) == Some(&Value::Bool(true)) {
                int_or_string(fields, dialect);
            }
            if dialect == Dialect::V2 {
                flatten_reference(fields);
            }
            fields.values_mut().for_each(|value| translate(value, dialect));
        }
        _ => {}
    }
}

fn int_or_string(fields: &mut Map<String, Value>, dialect: Dialect) {
    fields.remove(INT_OR_STRING);
    match dialect {
        Dialect::V2 => {
            fields.insert("format".to_owned(), "int-or-string".into());
            fields.insert("type".to_owned(), "string".into())
        }
        Dialect::V3 => fields.insert("oneOf".to_owned(), json!([{"type": "string"}, {"type": "number"}])),
    };
}

/// A reference beside a description: alone under `allOf` in version 3, a sibling in version 2.
fn flatten_reference(fields: &mut Map<String, Value>) {
    if let Some(Value::Array(all)) = fields.get("allOf")
        && let [Value::Object(only)] = all.as_slice()
        && let Some(reference) = only.get("$ref").cloned()
    {
        fields.remove("allOf");
        fields.insert("$ref".to_owned(), reference);
    }
    let name = fields.get("$ref").and_then(Value::as_str).and_then(|address| address.strip_prefix(V3_PREFIX));
    if let Some(address) = name.map(|name| format!("#/definitions/{name}")) {
        fields.insert("$ref".to_owned(), address.into());
    }
}
