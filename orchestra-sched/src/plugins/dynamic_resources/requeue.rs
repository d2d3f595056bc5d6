use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceSlice};
use orchestra_core::{
    ObjectKey,
    device::{allocation, is_extended_resource_claim, is_made_for},
    informer::Change,
    scheduler::{ClusterEvent, EventKind, PodInfo},
};

use super::{
    DynamicResources,
    claims::{entries, keys},
    extended::may_be_provided,
};
use crate::framework::{Plugin, Requeue};

impl Requeue for DynamicResources {
    fn concerns(&self, kind: EventKind) -> bool {
        match kind {
            EventKind::NodeAdded | EventKind::NodeUpdated | EventKind::PodUpdated | EventKind::PodReleased => true,
            EventKind::ObjectChanged(kind) => self.uses().contains(&kind),
            _ => false,
        }
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        match event {
            ClusterEvent::NodeUpdated { old, new } => {
                let has_others = old.allocatable().scalars != new.allocatable().scalars;
                return old.labels() != new.labels() || has_others && asks_for_extended(pod);
            }
            // Its claims may have been made.
            ClusterEvent::PodUpdated { new, .. } => return keys(new).is_ok(),
            // It may have been on its way to devices, and not have come there.
            ClusterEvent::PodReleased(released) => return !entries(released).is_empty() || asks_for_extended(released),
            _ => {}
        }
        if let Some(change) = event.change_of::<ResourceClaim>() {
            return claim_may_help(change, pod);
        }
        let is_there = |change: Option<bool>| change == Some(true);
        let slice = event.change_of::<ResourceSlice>().map(|change| change.new().is_some());
        let class = event.change_of::<DeviceClass>().map(|change| change.new().is_some());
        is_there(slice) || is_there(class) || matches!(event, ClusterEvent::NodeAdded(_))
    }
}

/// Whether devices may provide something that the pod asks for.
fn asks_for_extended(pod: &PodInfo) -> bool {
    pod.requests().scalars.keys().any(|name| may_be_provided(name))
}

/// A claim that gives devices back may help anybody; else it has to be one of the pod's, and be told of something new.
fn claim_may_help(change: &Change<ResourceClaim>, pod: &PodInfo) -> bool {
    let Ok(keys) = keys(pod) else { return false };
    let had_devices = change.old().is_some_and(|claim| allocation(claim).is_some());
    let Some(claim) = change.new() else {
        // One that was made for the pod is in the way of another.
        let gone = change.object();
        return allocation(gone).is_some() || is_extended_resource_claim(gone) && is_made_for(gone, pod.pod());
    };
    if had_devices && allocation(claim).is_none() {
        return true;
    }
    keys.contains(&ObjectKey::of(&**claim)) && change.old().is_none_or(|old| old.status != claim.status)
}
