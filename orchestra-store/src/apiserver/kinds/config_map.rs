//! ConfigMaps (`pkg/registry/core/configmap`).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

use super::{column, data_key};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
};

/// The most bytes of all values together (`MaxSecretSize`).
const MAX_BYTES: usize = 1024 * 1024;
/// What is wrong with a change of an immutable object.
pub(super) const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// The rules of config maps.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConfigMaps;

/// The row of config maps.
pub fn row() -> Resource {
    new_row(ConfigMaps).short_names(&["cm"])
}

impl Strategy for ConfigMaps {
    type Object = ConfigMap;
    type Wire = ConfigMap;

    fn default(&self, object: &mut ConfigMap) {
        // Kubernetes writes no empty maps.
        object.data = object.data.take().filter(|data| !data.is_empty());
        object.binary_data = object.binary_data.take().filter(|data| !data.is_empty());
    }

    fn validate(&self, _ctx: &RequestContext, object: &ConfigMap) -> Errors {
        let mut errors = Errors::new();
        let other = object.binary_data.as_ref();
        let mut bytes = values(&object.data, "data", "binaryData", |key| has(other, key), String::len, &mut errors);
        let other = object.data.as_ref();
        bytes += values(
            &object.binary_data,
            "binaryData",
            "data",
            |key| has(other, key),
            |value| value.0.len(),
            &mut errors,
        );
        if bytes > MAX_BYTES {
            // Kubernetes blames no field, and so prints an empty index.
            errors.push(Error::too_long(&Path::default().key(""), MAX_BYTES));
        }
        errors
    }

    fn validate_update(&self, ctx: &RequestContext, new: &ConfigMap, old: &ConfigMap) -> Errors {
        let mut errors = Errors::new();
        if old.immutable == Some(true) {
            let mut keep = |same: bool, name: &str| {
                if !same {
                    errors.push(Error::forbidden(&Path::new(name), IMMUTABLE));
                }
            };
            keep(new.immutable == Some(true), "immutable");
            keep(new.data == old.data, "data");
            keep(new.binary_data == old.binary_data, "binaryData");
        }
        errors.extend(self.validate(ctx, new));
        errors
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, object: &ConfigMap, now: Timestamp) -> Vec<Value> {
        let entries = object.data.iter().flatten().count() + object.binary_data.iter().flatten().count();
        let metadata = &object.metadata;
        vec![json!(metadata.name), json!(entries), json!(age::since(metadata.creation_timestamp.as_ref(), now))]
    }
}

fn has<T>(map: Option<&BTreeMap<String, T>>, key: &str) -> bool {
    map.is_some_and(|map| map.contains_key(key))
}

/// Checks the keys of one of the two maps, and gives the number of bytes of its values.
fn values<T>(
    map: &Option<BTreeMap<String, T>>,
    field: &str,
    other: &str,
    in_other: impl Fn(&str) -> bool,
    length: impl Fn(&T) -> usize,
    errors: &mut Errors,
) -> usize {
    let mut bytes = 0;
    for (key, value) in map.iter().flatten() {
        let path = Path::new(field).key(key);
        errors.extend(data_key::validate(key).into_iter().map(|error| Error::invalid(&path, key, error)));
        if in_other(key) {
            errors.push(Error::invalid(&path, key, format!("duplicate of key present in {other}")));
        }
        bytes += length(value);
    }
    bytes
}

const COLUMNS: &[Column] = &[
    column::NAME,
    Column {
        name: "Data",
        kind: "string",
        format: "",
        description: "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.",
        priority: 0,
    },
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn keys_are_file_names() {
        let map: ConfigMap =
            object(json!({"data": {"a b": "", "..": "", "ok.txt": ""}, "binaryData": {"ok.txt": "YQ=="}}));
        let errors = texts(&ConfigMaps.validate(&context(), &map));
        assert_eq!(errors[0], r#"data[..]: Invalid value: "..": must not be '..'"#);
        assert!(errors[1].starts_with(r#"data[a b]: Invalid value: "a b": a valid config key must consist of"#));
        assert_eq!(errors[2], r#"data[ok.txt]: Invalid value: "ok.txt": duplicate of key present in binaryData"#);
        assert_eq!(errors[3], r#"binaryData[ok.txt]: Invalid value: "ok.txt": duplicate of key present in data"#);
    }

    #[test]
    fn more_than_a_mebibyte_is_too_long() {
        let map: ConfigMap = object(json!({"data": {"a": "x".repeat(MAX_BYTES + 1)}}));
        assert_eq!(texts(&ConfigMaps.validate(&context(), &map)), ["[]: Too long: may not be more than 1048576 bytes"]);
    }

    #[test]
    fn an_immutable_map_stays_as_it_is() {
        let old: ConfigMap = object(json!({"data": {"k": "v"}, "immutable": true}));
        let new: ConfigMap = object(json!({"data": {"k": "z"}}));
        assert_eq!(
            texts(&ConfigMaps.validate_update(&context(), &new, &old)),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
        assert!(ConfigMaps.validate_update(&context(), &old, &old).is_empty());
    }
}
