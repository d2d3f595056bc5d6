//! API groups that another server in this process serves, as `metrics-server` does for Kubernetes.

use std::fmt;

use axum::Router;

/// A version of an API group that is served by `router`, and shown by discovery.
///
/// In Kubernetes such servers are other processes, which `APIService` objects tell of (`kube-aggregator`).
#[derive(Clone)]
pub struct AggregatedApi {
    /// The group: `metrics.k8s.io`.
    pub group: String,
    /// The version: `v1beta1`.
    pub version: String,
    /// What discovery tells of it.
    pub resources: Vec<AggregatedResource>,
    /// Gets the requests to `/apis/GROUP/VERSION/...`, with the whole path, of users who were authenticated.
    pub router: Router,
}

/// A resource of such a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatedResource {
    /// The plural, as in paths.
    pub plural: &'static str,
    /// The kind of its objects.
    pub kind: &'static str,
    /// Whether they live in namespaces.
    pub namespaced: bool,
    /// What can be done with them, sorted.
    pub verbs: &'static [&'static str],
}

impl AggregatedApi {
    /// Whether a decoded path is one of its objects'.
    pub(super) fn serves(&self, path: &str) -> bool {
        let rest = path.strip_prefix("/apis/").and_then(|rest| rest.strip_prefix(&*self.group)?.strip_prefix('/'));
        let rest = rest.and_then(|rest| rest.strip_prefix(&*self.version));
        rest.is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
    }
}

impl fmt::Debug for AggregatedApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AggregatedApi({}/{})", self.group, self.version)
    }
}
