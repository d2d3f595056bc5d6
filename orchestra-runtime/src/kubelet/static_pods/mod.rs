//! Static pods: those that the node runs because a file in a folder of its own says so (`staticPodPath`), whether or not the API server
//! answers. In the API a mirror pod shows each of them; who deletes it deletes the picture.
//!
//! ```text
//!   folder ──► manifest ──► table: which run, which wait for one of their name to end ──► slots
//!                             ▲ mirrors, as the API server has them
//! ```

mod folder;
mod manifest;
mod mirror;
mod table;

use k8s_openapi::api::core::v1::Pod;

pub(super) use self::{
    folder::{Folder, Look},
    manifest::is_hash,
    mirror::{Mirror, create, delete, is_mirror_of},
    table::{Move, Table},
};

/// Where a static pod is from.
const SOURCE: &str = "kubernetes.io/config.source";
/// The hash of its manifest, which is its uid too.
const HASH: &str = "kubernetes.io/config.hash";
/// When the kubelet first saw it.
const SEEN: &str = "kubernetes.io/config.seen";

/// Whether the pod is the node's own. Those of the API server, which have a time of creation, are not, whatever their annotations say:
/// everyone may write those. (Kubernetes' kubelet writes `api` over them.)
pub(super) fn is_static(pod: &Pod) -> bool {
    if pod.metadata.creation_timestamp.is_some() {
        return false;
    }
    let source = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(SOURCE));
    source.is_some_and(|source| source != "api")
}
