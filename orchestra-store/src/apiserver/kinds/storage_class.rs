//! StorageClasses (`pkg/registry/storage/storageclass`, `pkg/apis/storage`).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{core::v1::TopologySelectorTerm, storage::v1::StorageClass};
use orchestra_core::persistent_volume::is_default;
use serde_json::{Value, json};

use super::column::{self, text};
use crate::apiserver::{
    age,
    field::{Error, Errors, Path, Shown},
    registry::Resource,
    row as new_row,
    strategy::{Column, RequestContext, Strategy},
    validation::{label_selector, qualified_name},
};

const RECLAIM_POLICIES: [&str; 2] = ["Delete", "Retain"];
const BINDING_MODES: [&str; 2] = ["Immediate", "WaitForFirstConsumer"];
/// The most parameters, and the most bytes of all their names and values.
const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETER_BYTES: usize = 256 * 1024;

/// The rules of storage classes.
#[derive(Clone, Copy, Debug, Default)]
pub struct StorageClasses;

/// The row of storage classes.
pub fn row() -> Resource {
    new_row(StorageClasses).cluster_scoped().short_names(&["sc"]).returns_deleted()
}

impl Strategy for StorageClasses {
    type Object = StorageClass;
    type Wire = StorageClass;

    fn default(&self, class: &mut StorageClass) {
        class.reclaim_policy.get_or_insert_with(|| "Delete".to_owned());
        class.volume_binding_mode.get_or_insert_with(|| "Immediate".to_owned());
    }

    fn validate(&self, _ctx: &RequestContext, class: &StorageClass) -> Errors {
        let mut errors = provisioner(&class.provisioner, &Path::new("provisioner"));
        errors.extend(class.parameters.iter().flat_map(|all| parameters(all, &Path::new("parameters"))));
        let policy = class.reclaim_policy.as_deref().unwrap_or_default();
        if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy) {
            errors.push(Error::not_supported(&Path::new("reclaimPolicy"), policy, &RECLAIM_POLICIES));
        }
        let mode = class.volume_binding_mode.as_deref();
        if let Some(mode) = mode.filter(|mode| !BINDING_MODES.contains(mode)) {
            errors.push(Error::not_supported(&Path::new("volumeBindingMode"), mode, &BINDING_MODES));
        }
        let terms = class.allowed_topologies.as_deref().unwrap_or_default();
        errors.extend(topologies(terms, &Path::new("allowedTopologies")));
        errors
    }

    fn validate_update(&self, ctx: &RequestContext, new: &StorageClass, old: &StorageClass) -> Errors {
        let mut errors = self.validate(ctx, new);
        let mut fixed = |same: bool, field: &str| {
            if !same {
                errors.push(Error::forbidden(&Path::new(field), &format!("updates to {field} are forbidden.")));
            }
        };
        fixed(new.parameters == old.parameters, "parameters");
        fixed(new.provisioner == old.provisioner, "provisioner");
        fixed(new.reclaim_policy == old.reclaim_policy, "reclaimPolicy");
        if new.volume_binding_mode != old.volume_binding_mode {
            let mode = Shown::json(&new.volume_binding_mode);
            errors.push(Error::invalid(&Path::new("volumeBindingMode"), mode, "field is immutable"));
        }
        errors
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn cells(&self, class: &StorageClass, now: Timestamp) -> Vec<Value> {
        let metadata = &class.metadata;
        let name = metadata.name.as_deref().unwrap_or_default();
        vec![
            if is_default(class) { json!(format!("{name} (default)")) } else { json!(name) },
            json!(class.provisioner),
            json!(class.reclaim_policy.as_deref().unwrap_or("Delete")),
            json!(class.volume_binding_mode.as_deref().unwrap_or("Immediate")),
            json!(class.allow_volume_expansion.unwrap_or_default()),
            json!(age::since(metadata.creation_timestamp.as_ref(), now)),
        ]
    }
}

fn provisioner(name: &str, path: &Path) -> Errors {
    if name.is_empty() {
        return vec![Error::required(path, "")];
    }
    let found = qualified_name::key(&name.to_lowercase());
    found.into_iter().map(|error| Error::invalid(path, name, error)).collect()
}

fn parameters(all: &BTreeMap<String, String>, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if all.len() > MAX_PARAMETERS {
        return vec![Error::too_long(path, MAX_PARAMETERS)];
    }
    if all.contains_key("") {
        errors.push(Error::invalid(path, "", "field can not be empty."));
    }
    if all.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_PARAMETER_BYTES {
        errors.push(Error::too_long(path, MAX_PARAMETER_BYTES));
    }
    errors
}

/// Where volumes of the class may be. Kubernetes names the expressions of all terms alike.
fn topologies(terms: &[TopologySelectorTerm], path: &Path) -> Errors {
    let mut errors = Errors::new();
    let mut seen = Vec::new();
    for (index, term) in terms.iter().enumerate() {
        let mut wanted = BTreeMap::new();
        let at = path.child("matchLabelExpressions");
        for (index, expression) in term.match_label_expressions.iter().flatten().enumerate() {
            let at = at.index(index);
            let values = values(&expression.values, &at.child("values"), &mut errors);
            errors.extend(label_selector::key(&expression.key, &at.child("key")));
            if wanted.insert(&expression.key, values).is_some() {
                errors.push(Error::duplicate(&at.child("key"), &expression.key));
            }
        }
        if seen.contains(&wanted) {
            errors.push(Error::duplicate(&path.index(index).child("matchLabelExpressions"), ""));
        }
        seen.push(wanted);
    }
    errors
}

fn values<'a>(values: &'a [String], path: &Path, errors: &mut Errors) -> BTreeSet<&'a str> {
    let mut set = BTreeSet::new();
    if values.is_empty() {
        errors.push(Error::required(path, ""));
    }
    for (index, value) in values.iter().enumerate() {
        if !set.insert(value.as_str()) {
            errors.push(Error::duplicate(&path.index(index), value));
        }
    }
    set
}

const COLUMNS: &[Column] = &[
    column::NAME,
    text("Provisioner", "provisioner indicates the type of the provisioner."),
    text(
        "ReclaimPolicy",
        "reclaimPolicy controls the reclaimPolicy for dynamically provisioned PersistentVolumes of this storage class. Defaults to Delete.",
    ),
    text(
        "VolumeBindingMode",
        "volumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.  When unset, VolumeBindingImmediate is used. This field is only honored by servers that enable the VolumeScheduling feature.",
    ),
    text("AllowVolumeExpansion", "allowVolumeExpansion shows whether the storage class allow volume expand."),
    column::AGE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::kinds::testing::{context, object, texts};

    #[test]
    fn policies_modes_and_topologies_are_checked() {
        let class = object(json!({
        "provisioner": "a/b/c", "parameters": {"": "x"}, "reclaimPolicy": "Recycle", "volumeBindingMode": "Later",
        "allowedTopologies": [
            {"matchLabelExpressions": [{"key": "zone", "values": ["a", "a"]}, {"key": "zone", "values": ["a"]}]},
            {"matchLabelExpressions": [{"key": "zone", "values": ["a"]}]},
        ]}));
        let found = texts(&StorageClasses.validate(&context(), &class));
        assert!(
            found[0].starts_with(r#"provisioner: Invalid value: "a/b/c": a qualified name must consist of"#),
            "{found:?}"
        );
        assert_eq!(
            &found[1..],
            [
                r#"parameters: Invalid value: "": field can not be empty."#,
                r#"reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain""#,
                r#"volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer""#,
                r#"allowedTopologies.matchLabelExpressions[0].values[1]: Duplicate value: "a""#,
                r#"allowedTopologies.matchLabelExpressions[1].key: Duplicate value: "zone""#,
                r#"allowedTopologies[1].matchLabelExpressions: Duplicate value: """#,
            ]
        );
    }

    #[test]
    fn a_class_stays_what_it_is() {
        let mut old: StorageClass = object(json!({"provisioner": "a"}));
        StorageClasses.default(&mut old);
        let new = object(json!({"provisioner": "b", "parameters": {"c": "d"}, "reclaimPolicy": "Retain",
            "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true}));
        assert_eq!(
            texts(&StorageClasses.validate_update(&context(), &new, &old)),
            [
                "parameters: Forbidden: updates to parameters are forbidden.",
                "provisioner: Forbidden: updates to provisioner are forbidden.",
                "reclaimPolicy: Forbidden: updates to reclaimPolicy are forbidden.",
                r#"volumeBindingMode: Invalid value: "WaitForFirstConsumer": field is immutable"#,
            ]
        );
    }

    #[test]
    fn the_default_class_is_marked() {
        let annotations = json!({"storageclass.kubernetes.io/is-default-class": "true"});
        let class = object(json!({"metadata": {"name": "fast", "annotations": annotations}, "provisioner": "a"}));
        let cells = StorageClasses.cells(&class, Timestamp::UNIX_EPOCH);
        assert_eq!(json!(cells), json!(["fast (default)", "a", "Delete", "Immediate", false, "<unknown>"]));
    }
}
