//! What an error of the API server means to a controller.

use kube::core::Status;

fn status(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

/// The object is not there (any more).
pub(super) fn is_not_found(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.code == 404)
}

/// A precondition failed: the object changed, or is another one of the same name.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.code == 409 && status.reason != "AlreadyExists")
}

/// The name is taken.
pub(super) fn is_already_exists(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.code == 409 && status.reason == "AlreadyExists")
}

/// Nothing can be created in the namespace, as it is going away; trying again is of no use.
pub(super) fn is_namespace_terminating(error: &kube::Error) -> bool {
    let details = status(error).and_then(|status| status.details.as_ref());
    details.is_some_and(|details| details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
}

/// The server's own words where it answered, as Kubernetes' events have them.
pub(super) fn message(error: &kube::Error) -> String {
    status(error).map_or_else(|| error.to_string(), |status| status.message.clone())
}

/// Whether a write that got this answer may have happened nevertheless.
pub(super) fn is_ambiguous(error: &kube::Error) -> bool {
    status(error).is_none_or(|status| status.code >= 500)
}
