//! Kubernetes' plugins, one file each.
//!
#![doc = include_str!("rules.md")]

mod claims;
pub(crate) mod default_binder;
mod default_preemption;
pub(crate) mod dynamic_resources;
mod gang_scheduling;
mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_declared_features;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod node_volume_limits;
mod pod_topology_spread;
mod priority_sort;
mod recent;
pub(crate) mod resource_spec;
mod rows;
#[cfg(test)]
mod rules;
mod scheduling_gates;
mod taint_toleration;
mod tally;
#[cfg(test)]
mod testing;
mod toleration;
mod volume_binding;
mod volume_restrictions;
mod volume_zone;

use std::sync::Arc;

pub use self::{
    default_binder::DefaultBinder,
    default_preemption::{DefaultPreemption, DefaultPreemptionArgs},
    dynamic_resources::{DynamicResources, DynamicResourcesArgs},
    gang_scheduling::GangScheduling,
    image_locality::ImageLocality,
    inter_pod_affinity::{InterPodAffinity, InterPodAffinityArgs},
    node_affinity::{NodeAffinity, NodeAffinityArgs},
    node_declared_features::NodeDeclaredFeatures,
    node_name::NodeName,
    node_ports::NodePorts,
    node_resources_balanced_allocation::{NodeResourcesBalancedAllocation, NodeResourcesBalancedAllocationArgs},
    node_resources_fit::{
        NodeResourcesFit, NodeResourcesFitArgs, RequestedToCapacityRatioParam, ScoringStrategy, UtilizationShapePoint,
    },
    node_unschedulable::NodeUnschedulable,
    node_volume_limits::NodeVolumeLimits,
    pod_topology_spread::{PodTopologySpread, PodTopologySpreadArgs},
    priority_sort::PrioritySort,
    resource_spec::ResourceSpec,
    scheduling_gates::SchedulingGates,
    taint_toleration::TaintToleration,
    volume_binding::{VolumeBinding, VolumeBindingArgs},
    volume_restrictions::VolumeRestrictions,
    volume_zone::VolumeZone,
};
use crate::framework::Plugin;

/// The plugins of kube-scheduler's default profile with the weights of their scores, in the order in which they are asked: the
/// first to reject a node gives the reason.
pub fn default_plugins() -> Vec<(Arc<dyn Plugin>, i64)> {
    vec![
        (Arc::new(SchedulingGates), 1),
        (Arc::new(PrioritySort), 1),
        (Arc::new(NodeUnschedulable), 1),
        (Arc::new(NodeName), 1),
        (Arc::new(NodeDeclaredFeatures), 1),
        (Arc::new(TaintToleration), 3),
        (Arc::new(NodeAffinity::default()), 2),
        (Arc::new(NodePorts), 1),
        (Arc::new(NodeResourcesFit::default()), 1),
        (Arc::new(VolumeRestrictions::default()), 1),
        (Arc::new(NodeVolumeLimits::default()), 1),
        (Arc::new(VolumeBinding::default()), 1),
        (Arc::new(VolumeZone), 1),
        (Arc::new(PodTopologySpread::default()), 2),
        (Arc::new(InterPodAffinity::default()), 2),
        (Arc::new(DynamicResources::default()), 2),
        (Arc::new(DefaultPreemption::default()), 1),
        (Arc::new(NodeResourcesBalancedAllocation::default()), 1),
        (Arc::new(ImageLocality), 1),
        (Arc::new(GangScheduling), 1),
    ]
}
