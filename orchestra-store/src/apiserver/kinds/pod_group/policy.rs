//! How the pods of a group are scheduled.

use k8s_openapi::api::scheduling::v1alpha2::PodGroupSchedulingPolicy;

use crate::apiserver::field::{Error, Errors, Path};

/// What is wrong with a policy: it is one of the two, and gangs have a size.
pub(super) fn validate(policy: &PodGroupSchedulingPolicy, path: &Path) -> Errors {
    let mut errors = Errors::new();
    match (&policy.basic, &policy.gang) {
        (None, None) => errors.push(Error::invalid(path, "", "must specify one of: `basic`, `gang`")),
        (Some(_), Some(_)) => {
            let why = "exactly one of `basic`, `gang` is required, but multiple fields are set";
            errors.push(Error::invalid(path, "{`basic`, `gang`}", why));
        }
        _ => {}
    }
    if let Some(gang) = &policy.gang {
        let path = path.child("gang").child("minCount");
        match gang.min_count {
            0 => errors.push(Error::required(&path, "")),
            count if count < 0 => errors.push(Error::invalid(&path, count, "must be greater than or equal to 1")),
            _ => {}
        }
    }
    errors
}
