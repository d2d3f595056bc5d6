use std::sync::Arc;

use super::{NodeInfo, ObjectChange, ObjectKind, PodInfo};
use crate::informer::{Change, Informed};

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
    /// An object of another kind, which a scheduler [uses](super::Scheduler::uses), came, changed or went.
    ObjectChanged(ObjectChange),
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
            Self::ObjectChanged(change) => EventKind::ObjectChanged(change.kind()),
        }
    }

    /// The change, if it is one of a `K`, which is neither node nor pod.
    pub fn change_of<K: Informed>(&self) -> Option<&Change<K>> {
        match self {
            Self::ObjectChanged(change) => change.of(),
            _ => None,
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
    /// [`ClusterEvent::ObjectChanged`].
    ObjectChanged(ObjectKind),
}

impl EventKind {
    /// Changes of `K`.
    pub fn change_of<K: Informed>() -> Self {
        Self::ObjectChanged(ObjectKind::of::<K>())
    }
}
