use std::fmt;

use serde::{Deserialize, Serialize};

use super::Plugin;

/// Where plugins take part, in the order in which a pod comes by. The names are Kubernetes'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExtensionPoint {
    /// [`PreEnqueue`](super::PreEnqueue).
    PreEnqueue,
    /// [`QueueSort`](orchestra_core::scheduler::QueueSort).
    QueueSort,
    /// [`PreFilter`](super::PreFilter).
    PreFilter,
    /// [`Filter`](super::Filter).
    Filter,
    /// [`PostFilter`](super::PostFilter).
    PostFilter,
    /// [`PreScore`](super::PreScore).
    PreScore,
    /// [`Score`](super::Score).
    Score,
    /// [`Reserve`](super::Reserve).
    Reserve,
    /// [`Permit`](super::Permit).
    Permit,
    /// [`PreBind`](super::PreBind).
    PreBind,
    /// [`Bind`](super::Bind).
    Bind,
    /// [`PostBind`](super::PostBind).
    PostBind,
}

impl ExtensionPoint {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::PreEnqueue,
        Self::QueueSort,
        Self::PreFilter,
        Self::Filter,
        Self::PostFilter,
        Self::PreScore,
        Self::Score,
        Self::Reserve,
        Self::Permit,
        Self::PreBind,
        Self::Bind,
        Self::PostBind,
    ];

    /// The points at which Kubernetes' plugin of this name takes part and the one of this crate need not: what it does there is done elsewhere
    /// here. A configuration may name them.
    pub(crate) fn of_kubernetes(plugin: &str) -> &'static [Self] {
        match plugin {
            "DefaultPreemption" => &[Self::PreEnqueue],
            "GangScheduling" => &[Self::Permit],
            "DynamicResources" => &[Self::PreEnqueue, Self::Filter, Self::Score, Self::Reserve, Self::PreBind],
            "NodeAffinity" | "NodeResourcesBalancedAllocation" | "PodTopologySpread" | "TaintToleration" => {
                &[Self::PreFilter, Self::PreScore]
            }
            "NodeResourcesFit" => &[Self::PreFilter, Self::PreScore],
            "VolumeBinding" => &[Self::PreScore, Self::Score, Self::PreBind],
            "NodePorts" | "VolumeRestrictions" | "VolumeZone" => &[Self::PreFilter],
            _ => &[],
        }
    }

    /// Whether `plugin` takes part here.
    pub fn has(self, plugin: &dyn Plugin) -> bool {
        match self {
            Self::PreEnqueue => plugin.as_pre_enqueue().is_some() || plugin.as_grouping().is_some(),
            Self::QueueSort => plugin.as_queue_sort().is_some(),
            Self::PreFilter => plugin.as_pre_filter().is_some(),
            Self::Filter => plugin.as_filter().is_some(),
            Self::PostFilter => plugin.as_post_filter().is_some(),
            Self::PreScore => plugin.as_pre_score().is_some(),
            Self::Score => plugin.as_score().is_some(),
            Self::Reserve => plugin.as_reserve().is_some(),
            Self::Permit => plugin.as_permit().is_some(),
            Self::PreBind => plugin.as_pre_bind().is_some(),
            Self::Bind => plugin.as_bind().is_some(),
            Self::PostBind => plugin.as_post_bind().is_some(),
        }
    }
}

impl fmt::Display for ExtensionPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
