//! A pod's tolerations, and whether they cover a taint.

use k8s_openapi::api::core::v1::Toleration;
use orchestra_core::scheduler::{NodeInfo, PodInfo, Taint, tolerates};

/// The pod's tolerations.
pub(super) fn tolerations(pod: &PodInfo) -> &[Toleration] {
    pod.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
}

/// Whether any of `tolerations` covers `taint`.
pub(super) fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| tolerates(toleration, taint))
}

/// Whether `tolerations` cover all taints of `node` that keep pods off.
pub(super) fn may_go_to(tolerations: &[Toleration], node: &NodeInfo) -> bool {
    let mut hard = node.taints().iter().filter(|taint| taint.effect.is_hard());
    !node.has_hard_taints() || hard.all(|taint| tolerated(tolerations, taint))
}
