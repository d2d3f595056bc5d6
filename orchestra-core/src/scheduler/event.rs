use std::sync::Arc;

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};

use super::{NodeInfo, PodInfo};

/// What happened in the cluster that may concern pods that wait for a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClusterEvent {
    /// A node came.
    NodeAdded(Arc<NodeInfo>),
    /// A node changed: its allocatable, labels, taints, cordon.
    NodeUpdated {
        /// The node before; without its pods.
        old: Arc<NodeInfo>,
        /// The node now; without its pods.
        new: Arc<NodeInfo>,
    },
    /// A node went.
    NodeRemoved(Arc<NodeInfo>),
    /// A pod was bound to a node.
    PodAssigned(Arc<PodInfo>),
    /// A pod on a node changed: its labels, or how much it asks for.
    AssignedPodUpdated {
        /// The pod before.
        old: Arc<PodInfo>,
        /// The pod now.
        new: Arc<PodInfo>,
    },
    /// A pod left its node: it was deleted or ended, or its binding failed.
    PodReleased(Arc<PodInfo>),
    /// The waiting pod itself changed.
    PodUpdated {
        /// The pod before.
        old: Arc<PodInfo>,
        /// The pod now.
        new: Arc<PodInfo>,
    },
    /// A claim came or changed.
    ClaimChanged(Arc<PersistentVolumeClaim>),
    /// A volume came or changed.
    VolumeChanged(Arc<PersistentVolume>),
    /// A storage class came or changed.
    StorageClassChanged(Arc<StorageClass>),
}

impl ClusterEvent {
    /// What kind of event it is.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::NodeAdded(_) => EventKind::NodeAdded,
            Self::NodeUpdated { .. } => EventKind::NodeUpdated,
            Self::NodeRemoved(_) => EventKind::NodeRemoved,
            Self::PodAssigned(_) => EventKind::PodAssigned,
            Self::AssignedPodUpdated { .. } => EventKind::AssignedPodUpdated,
            Self::PodReleased(_) => EventKind::PodReleased,
            Self::PodUpdated { .. } => EventKind::PodUpdated,
            Self::ClaimChanged(_) => EventKind::ClaimChanged,
            Self::VolumeChanged(_) => EventKind::VolumeChanged,
            Self::StorageClassChanged(_) => EventKind::StorageClassChanged,
        }
    }

    /// Whether there is a node now that is acceptable, and was not, or was not there, before. Of what is not about a node nothing is
    /// known: `true`.
    pub fn may_bring_node(&self, is_acceptable: impl Fn(&NodeInfo) -> bool) -> bool {
        match self {
            Self::NodeAdded(node) => is_acceptable(node),
            Self::NodeUpdated { old, new } => !is_acceptable(old) && is_acceptable(new),
            _ => true,
        }
    }
}

/// A [`ClusterEvent`] without its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventKind {
    /// [`ClusterEvent::NodeAdded`].
    NodeAdded,
    /// [`ClusterEvent::NodeUpdated`].
    NodeUpdated,
    /// [`ClusterEvent::NodeRemoved`].
    NodeRemoved,
    /// [`ClusterEvent::PodAssigned`].
    PodAssigned,
    /// [`ClusterEvent::AssignedPodUpdated`].
    AssignedPodUpdated,
    /// [`ClusterEvent::PodReleased`].
    PodReleased,
    /// [`ClusterEvent::PodUpdated`].
    PodUpdated,
    /// [`ClusterEvent::ClaimChanged`].
    ClaimChanged,
    /// [`ClusterEvent::VolumeChanged`].
    VolumeChanged,
    /// [`ClusterEvent::StorageClassChanged`].
    StorageClassChanged,
}
