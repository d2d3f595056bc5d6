//! Claims of devices, and which containers use them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodResourceClaim, PodSpec, ResourceClaim};

use super::{invalid, required};
use crate::apiserver::{
    field::{Error, Errors, Path, Shown},
    validation::name,
};

pub(super) fn validate(spec: &PodSpec, path: &Path) -> Errors {
    let claims = spec.resource_claims.as_deref().unwrap_or_default();
    let (mut errors, mut names) = (Errors::new(), BTreeSet::new());
    for (index, claim) in claims.iter().enumerate() {
        let path = path.child("resourceClaims").index(index);
        let name_path = path.child("name");
        if claim.name.is_empty() {
            errors.push(Error::required(&name_path, ""));
        } else if !names.insert(claim.name.as_str()) {
            errors.push(Error::duplicate(&name_path, &claim.name));
        } else {
            errors.extend(invalid(&name_path, &claim.name, name::label(&claim.name, false)));
        }
        errors.extend(source(claim, &path));
    }
    let containers = [("initContainers", spec.init_containers.as_deref()), ("containers", Some(&*spec.containers))];
    for (field, containers) in containers {
        for (index, container) in containers.unwrap_or_default().iter().enumerate() {
            let used = container.resources.as_ref().and_then(|resources| resources.claims.as_deref());
            let path = path.child(field).index(index).child("resources").child("claims");
            errors.extend(uses(used.unwrap_or_default(), &names, &path));
        }
    }
    errors
}

/// A claim is there, or made from a template.
fn source(claim: &PodResourceClaim, path: &Path) -> Errors {
    let (name, template) = (&claim.resource_claim_name, &claim.resource_claim_template_name);
    let mut errors = Errors::new();
    let fields = [("resourceClaimName", name), ("resourceClaimTemplateName", template)];
    for (field, name) in fields.into_iter().filter_map(|(field, name)| Some((field, name.as_ref()?))) {
        errors.extend(invalid(&path.child(field), name, name::subdomain(name, false)));
    }
    let why = match (name, template) {
        (None, None) => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        (Some(_), Some(_)) => "at most one of `resourceClaimName`, `resourceClaimTemplateName` may be specified",
        _ => return errors,
    };
    let shown = |value: &Option<String>| serde_json::json!(value).to_string();
    let shown = format!(
        r#"{{"Name":{},"ResourceClaimName":{},"ResourceClaimTemplateName":{}}}"#,
        shown(&Some(claim.name.clone())),
        shown(name),
        shown(template)
    );
    errors.push(Error::invalid(path, Shown::raw(shown), why));
    errors
}

/// What a container uses is a claim of the pod, or one request of it, each once.
fn uses(used: &[ResourceClaim], names: &BTreeSet<&str>, path: &Path) -> Errors {
    let (mut errors, mut seen) = (Errors::new(), BTreeSet::new());
    for (index, claim) in used.iter().enumerate() {
        let path = path.index(index);
        required(path.child("name"), Some(&claim.name), &mut errors);
        let full = claim.request.as_ref().filter(|request| !request.is_empty());
        let full = full.map_or_else(|| claim.name.clone(), |request| format!("{}/{request}", claim.name));
        if seen.contains(claim.name.as_str()) || !seen.insert(full.clone()) {
            errors.push(Error::duplicate(&path, &full));
        }
        if !claim.name.is_empty() && !names.contains(claim.name.as_str()) {
            let mut error = Error::not_found(&path.child("name"), &claim.name);
            error.body.push_str(": must be one of the names in pod.spec.resourceClaims");
            match names.iter().copied().collect::<Vec<_>>().as_slice() {
                [] => error.body.push_str(" which is empty"),
                names => error.body.push_str(&format!(": {}", names.join(", "))),
            }
            errors.push(error);
        }
    }
    errors
}
