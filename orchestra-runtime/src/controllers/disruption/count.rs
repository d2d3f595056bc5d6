//! How many pods a budget expects, and how many of them are to be healthy.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::{api::policy::v1::PodDisruptionBudget, apimachinery::pkg::util::intstr::IntOrString};
use orchestra_core::controller::controller_of;

use super::owner_scale::OwnerScales;
use crate::controllers::pod_count;
use crate::lean_pod::LeanPod;

/// What is expected of the pods of a budget.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// How many there are to be.
    pub(super) pods: i32,
    /// How many of these are to be healthy.
    pub(super) healthy: i32,
    /// Whether there are some that nobody owns, so that nobody knows how many there are to be.
    pub(super) unmanaged: bool,
}

/// What `budget` expects of its `pods`: of a number the pods that there are count, of a share and of the unavailable the sizes that their
/// owners are to have.
pub(super) async fn expected(
    budget: &PodDisruptionBudget,
    pods: &[Arc<LeanPod>],
    scales: &OwnerScales,
) -> Result<Expected, String> {
    let Some(spec) = &budget.spec else { return Ok(Expected::default()) };
    match (&spec.max_unavailable, &spec.min_available) {
        (Some(unavailable), _) => {
            let (total, unmanaged) = total(pods, scales).await?;
            let healthy = total.saturating_sub(pod_count::of(unavailable, total, true)).max(0);
            Ok(Expected { pods: total, healthy, unmanaged })
        }
        (None, Some(IntOrString::Int(available))) => {
            let pods = i32::try_from(pods.len()).unwrap_or(i32::MAX);
            Ok(Expected { pods, healthy: *available, unmanaged: false })
        }
        (None, Some(available)) => {
            let (total, unmanaged) = total(pods, scales).await?;
            Ok(Expected { pods: total, healthy: pod_count::of(available, total, true), unmanaged })
        }
        (None, None) => Ok(Expected::default()),
    }
}

/// The sum of the sizes of all that own pods, and whether some have no owner.
async fn total(pods: &[Arc<LeanPod>], scales: &OwnerScales) -> Result<(i32, bool), String> {
    let (mut sizes, mut asked, mut unmanaged) = (BTreeMap::new(), BTreeSet::new(), false);
    for pod in pods {
        let Some(owner) = controller_of(&**pod) else {
            unmanaged = true;
            continue;
        };
        if !asked.insert(&owner.uid) {
            continue;
        }
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let found = scales.of(owner, namespace).await?;
        let (uid, size) = found.ok_or_else(|| {
            format!("found no controllers for pod {:?}", pod.metadata.name.as_deref().unwrap_or_default())
        })?;
        sizes.insert(uid, size);
    }
    Ok((sizes.into_values().fold(0, i32::saturating_add), unmanaged))
}
