//! What the generic resource does to an object's metadata around a write, and what must hold of it.

use std::collections::HashSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use orchestra_core::random::Generator;

use super::{
    ApiError,
    field::{self, Path},
    object::Object,
    registry::Resource,
    strategy::RequestContext,
    validation::qualified_name,
};

/// The letters of a generated name's end, and how long its beginning may be (`pkg/names` of apiserver).
const SUFFIX: usize = 5;
const MAX_GENERATED: usize = 63;
/// The most bytes of all annotations of an object.
const MAX_ANNOTATIONS: usize = 256 << 10;
/// Finalizers whose names need no domain.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Puts the request's namespace into the object; they must not contradict each other.
pub(super) fn place(resource: &Resource, ctx: &RequestContext, metadata: &mut ObjectMeta) -> Result<(), ApiError> {
    let said = metadata.namespace.take().filter(|namespace| !namespace.is_empty());
    if !resource.namespaced {
        // Of cluster-scoped kinds Kubernetes ignores what is said.
        return Ok(());
    }
    if said.is_some() && said != ctx.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.namespace.clone_from(&ctx.namespace);
    Ok(())
}

/// What the server decides of a new object.
pub(super) fn fill(resource: &Resource, ctx: &RequestContext, object: &mut dyn Object, generator: &Generator) {
    let generation = resource.rules.changes_generation(object, object).map(|_| 1);
    let metadata = object.metadata_mut();
    metadata.uid = Some(generator.uid());
    metadata.creation_timestamp = Some(Time(whole_seconds(ctx.now)));
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link = None;
    metadata.generation = generation;
    metadata.managed_fields = None;
    drop_empty(metadata);
}

/// Times of metadata have whole seconds.
pub(super) fn whole_seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Whether the name is to be made from `generateName`.
pub(super) fn is_generated(metadata: &ObjectMeta) -> bool {
    let absent = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    absent(&metadata.name) && !absent(&metadata.generate_name)
}

/// A name that begins as `generateName` says.
pub(super) fn generate_name(metadata: &mut ObjectMeta, generator: &Generator) {
    let base = metadata.generate_name.as_deref().unwrap_or_default();
    let end =
        base.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= MAX_GENERATED - SUFFIX).last();
    let name = format!("{}{}", &base[..end.unwrap_or(0)], generator.name_suffix(SUFFIX));
    metadata.name = Some(name);
}

/// What an update may not change of the metadata comes from the old object.
pub(super) fn carry_over(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.uid.clone_from(&old.uid);
    new.creation_timestamp.clone_from(&old.creation_timestamp);
    new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    new.generate_name.clone_from(&old.generate_name);
    new.generation = old.generation;
    new.self_link = None;
    new.managed_fields.clone_from(&old.managed_fields);
    drop_empty(new);
}

/// Empty maps and lists say nothing, and Kubernetes does not store them.
fn drop_empty(metadata: &mut ObjectMeta) {
    metadata.labels.take_if(|labels| labels.is_empty());
    metadata.annotations.take_if(|annotations| annotations.is_empty());
    metadata.finalizers.take_if(|finalizers| finalizers.is_empty());
    metadata.owner_references.take_if(|owners| owners.is_empty());
    metadata.generate_name.take_if(|name| name.is_empty());
}

/// Keeps the first of owner references that are all the same, and says so (`dedupOwnerReferencesAndAddWarning`).
pub(super) fn drop_repeated_owners(metadata: &mut ObjectMeta, after_admission: bool) -> Option<String> {
    let owners = metadata.owner_references.as_mut()?;
    let mut repeated = Vec::new();
    let mut kept: Vec<OwnerReference> = Vec::with_capacity(owners.len());
    let mut seen = HashSet::new();
    for owner in owners.drain(..) {
        // Only owners of one uid can be the same, and there are rarely two of these.
        if !seen.insert(owner.uid.clone()) && kept.contains(&owner) {
            repeated.push(owner.uid);
        } else {
            kept.push(owner);
        }
    }
    *owners = kept;
    let when = if after_admission { " after mutating admission happens" } else { "" };
    (!repeated.is_empty()).then(|| {
        format!(
            ".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
            repeated.join(", ")
        )
    })
}

/// Checks the metadata of a new object (`ValidateObjectMeta`).
pub(super) fn validate(resource: &Resource, metadata: &ObjectMeta) -> field::Errors {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    if let Some(prefix) = &metadata.generate_name
        && let Some(wrong) = resource.rules.validate_name(prefix, true)
    {
        errors.push(field::Error::invalid(&path.child("generateName"), prefix, wrong));
    }
    match metadata.name.as_deref().unwrap_or_default() {
        "" => errors.push(field::Error::required(&path.child("name"), "name or generateName is required")),
        name => {
            if let Some(wrong) = resource.rules.validate_name(name, false) {
                errors.push(field::Error::invalid(&path.child("name"), name, wrong));
            }
        }
    }
    validate_common(metadata, &path, &mut errors);
    errors
}

/// Checks a change of metadata (`ValidateObjectMetaUpdate`).
pub(super) fn validate_update(new: &ObjectMeta, old: &ObjectMeta) -> field::Errors {
    let path = Path::new("metadata");
    let mut errors = Vec::new();
    if old.deletion_timestamp.is_some() {
        let known = old.finalizers.as_deref().unwrap_or_default();
        let added: Vec<&String> = new.finalizers.iter().flatten().filter(|name| !known.contains(name)).collect();
        if !added.is_empty() {
            let shown: Vec<String> = added.iter().map(|name| format!("{name:?}")).collect();
            let shown = shown.join(", ");
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
            );
            errors.push(field::Error::forbidden(&path.child("finalizers"), &detail));
        }
    }
    validate_common(new, &path, &mut errors);
    errors
}

fn validate_common(metadata: &ObjectMeta, path: &Path, errors: &mut field::Errors) {
    let labels = path.child("labels");
    for (key, value) in metadata.labels.iter().flatten() {
        let wrong_key = qualified_name::key(key);
        errors.extend(wrong_key.into_iter().map(|wrong| field::Error::invalid(&labels, key, wrong)));
        let wrong_value = qualified_name::label_value(value);
        errors.extend(wrong_value.into_iter().map(|wrong| field::Error::invalid(&labels.key(key), value, wrong)));
    }
    let annotations = path.child("annotations");
    let mut size = 0;
    for (key, value) in metadata.annotations.iter().flatten() {
        size += key.len() + value.len();
        let wrong = qualified_name::key(&key.to_lowercase());
        errors.extend(wrong.into_iter().map(|wrong| field::Error::invalid(&annotations, key, wrong)));
    }
    if size > MAX_ANNOTATIONS {
        errors.push(field::Error::too_long(&annotations, MAX_ANNOTATIONS));
    }
    validate_owners(metadata, path, errors);
    validate_finalizers(metadata, path, errors);
}

fn validate_finalizers(metadata: &ObjectMeta, path: &Path, errors: &mut field::Errors) {
    let path = path.child("finalizers");
    let finalizers = metadata.finalizers.as_deref().unwrap_or_default();
    errors.extend(finalizers.iter().flat_map(|finalizer| qualified_finalizer(finalizer, &path)));
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(field::Error::invalid(&path, field::Shown::json(&finalizers), detail));
    }
    let known = finalizers.iter().enumerate();
    errors.extend(known.filter_map(|(i, finalizer)| known_finalizer(finalizer, &path.index(i))));
}

/// What is wrong with a finalizer at `path`.
pub(super) fn finalizer(finalizer: &str, path: &Path) -> field::Errors {
    let mut errors = qualified_finalizer(finalizer, path);
    errors.extend(known_finalizer(finalizer, path));
    errors
}

fn qualified_finalizer(finalizer: &str, path: &Path) -> field::Errors {
    let wrong = qualified_name::key(finalizer).into_iter();
    wrong.map(|wrong| field::Error::invalid(path, finalizer, wrong)).collect()
}

/// Finalizers without a domain are Kubernetes' own.
fn known_finalizer(finalizer: &str, path: &Path) -> Option<field::Error> {
    let detail = "name is neither a standard finalizer name nor is it fully qualified";
    let known = finalizer.contains('/') || STANDARD_FINALIZERS.contains(&finalizer);
    (!known).then(|| field::Error::invalid(path, finalizer, detail))
}

/// Owners are named whole, at most one controls the object, and none is an Event, which goes before long (`ValidateOwnerReferences`).
fn validate_owners(metadata: &ObjectMeta, path: &Path, errors: &mut field::Errors) {
    // Kubernetes does not tell which of the references is wrong.
    let path = path.child("ownerReferences");
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    let mut controller: Option<&OwnerReference> = None;
    for owner in owners {
        let (group, version) = match owner.api_version.split_once('/') {
            Some((_, version)) if version.contains('/') => ("", ""),
            Some(parts) => parts,
            None => ("", owner.api_version.as_str()),
        };
        if version.is_empty() {
            let detail = "version must not be empty";
            errors.push(field::Error::invalid(&path.child("apiVersion"), &owner.api_version, detail));
        }
        for (name, value) in [("kind", &owner.kind), ("name", &owner.name), ("uid", &owner.uid)] {
            if value.is_empty() {
                errors.push(field::Error::invalid(&path.child(name), value, "must not be empty"));
            }
        }
        if (group, version, owner.kind.as_str()) == ("", "v1", "Event") {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            errors.push(field::Error::invalid(&path, field::Shown::raw(shown_owner(owner)), detail));
        }
        if owner.controller != Some(true) {
            continue;
        }
        match controller {
            None => controller = Some(owner),
            Some(first) => {
                let named = |owner: &OwnerReference| format!("{}/{}", owner.kind, owner.name);
                let (first, second) = (named(first), named(owner));
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
                );
                let shown: Vec<String> = owners.iter().map(shown_owner).collect();
                let shown = field::Shown::raw(format!("[{}]", shown.join(",")));
                errors.push(field::Error::invalid(&path, shown, detail));
            }
        }
    }
}

/// A reference as Kubernetes prints it, with the fields in the order of its type.
fn shown_owner(owner: &OwnerReference) -> String {
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let flag = |name: &str, flag: Option<bool>| flag.map(|flag| format!(",\"{name}\":{flag}")).unwrap_or_default();
    format!(
        r#"{{"apiVersion":{},"kind":{},"name":{},"uid":{}{}{}}}"#,
        text(&owner.api_version),
        text(&owner.kind),
        text(&owner.name),
        text(&owner.uid),
        flag("controller", owner.controller),
        flag("blockOwnerDeletion", owner.block_owner_deletion),
    )
}
