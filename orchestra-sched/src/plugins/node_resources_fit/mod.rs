mod args;
mod shape;
mod strategy;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use k8s_openapi::api::resource::v1::DeviceClass;
use orchestra_core::scheduler::{
    ClusterEvent, EventKind, NodeInfo, ObjectKind, PodInfo, Rejection, Resources, Snapshot,
};
use parking_lot::RwLock;

use self::strategy::Strategy;
pub use self::{
    args::{NodeResourcesFitArgs, RequestedToCapacityRatioParam, ScoringStrategy},
    shape::UtilizationShapePoint,
};
use super::{
    dynamic_resources::extended::{class_of, may_be_provided, provides},
    resource_spec::is_extended,
};
use crate::framework::{CycleState, Filter, Plugin, PreFilter, PreFilterOutcome, Requeue, Score};

/// Keeps a pod off nodes that have less left than it asks for, and prefers those with more left (`LeastAllocated`), with less left
/// (`MostAllocated`), or as a function says (`RequestedToCapacityRatio`).
///
/// Extended resources that a node does not have and devices provide (KEP-5004) it leaves to [`DynamicResources`](super::DynamicResources).
#[derive(Clone, Debug)]
pub struct NodeResourcesFit {
    ignored: Ignored,
    strategy: Strategy,
    /// What devices were seen to provide of what pods asked for, for hints.
    provided: Arc<RwLock<BTreeSet<Arc<str>>>>,
}

/// What devices provide of what the pod asks for.
struct Provided(BTreeSet<Arc<str>>);

/// What nodes need not have.
#[derive(Clone, Debug, Default)]
struct Ignored {
    resources: BTreeSet<String>,
    groups: BTreeSet<String>,
}

impl Ignored {
    /// Extended resources alone can be ignored.
    fn contains(&self, name: &str) -> bool {
        (!self.resources.is_empty() || !self.groups.is_empty())
            && is_extended(name)
            && (self.resources.contains(name)
                || name.split_once('/').is_some_and(|(group, _)| self.groups.contains(group)))
    }
}

impl NodeResourcesFit {
    /// The plugin with these arguments.
    ///
    /// # Errors
    /// What is wrong with them, in Kubernetes' words.
    pub fn new(args: NodeResourcesFitArgs) -> Result<Self, String> {
        let args = args.with_defaults();
        args.validate()?;
        Ok(Self {
            ignored: Ignored {
                resources: args.ignored_resources.into_iter().collect(),
                groups: args.ignored_resource_groups.into_iter().collect(),
            },
            strategy: Strategy::new(&args.scoring_strategy.unwrap_or_default()),
            provided: Arc::default(),
        })
    }

    /// Whether `wanted` fits beside `used`. What is not asked for is not looked at: a node may be over-committed in it. What it does not have
    /// may be `provided` by devices.
    fn fits(
        &self,
        wanted: &Resources,
        used: &Resources,
        allocatable: &Resources,
        provided: impl Fn(&str) -> bool,
    ) -> bool {
        let fits = |wanted: i64, used: i64, allocatable: i64| wanted == 0 || wanted <= allocatable.saturating_sub(used);
        used.pods < allocatable.pods
            && fits(wanted.milli_cpu, used.milli_cpu, allocatable.milli_cpu)
            && fits(wanted.memory, used.memory, allocatable.memory)
            && fits(wanted.ephemeral_storage, used.ephemeral_storage, allocatable.ephemeral_storage)
            && wanted.scalars.iter().all(|(name, wanted)| {
                fits(*wanted, used.get(name), allocatable.get(name))
                    || self.ignored.contains(name)
                    || allocatable.get(name) == 0 && provided(name)
            })
    }

    /// Everything that is short. More than the whole node has cannot be made room for by taking pods away.
    fn reasons(
        &self,
        wanted: &Resources,
        used: &Resources,
        allocatable: &Resources,
        provided: impl Fn(&str) -> bool,
    ) -> Rejection {
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        let mut resolvable = true;
        if used.pods >= allocatable.pods {
            reasons.push("Too many pods".into());
        }
        let mut short = |reason: Cow<'static, str>, wanted: i64, used: i64, allocatable: i64| {
            if wanted > 0 && wanted > allocatable.saturating_sub(used) {
                reasons.push(reason);
                resolvable &= wanted <= allocatable;
            }
        };
        short("Insufficient cpu".into(), wanted.milli_cpu, used.milli_cpu, allocatable.milli_cpu);
        short("Insufficient memory".into(), wanted.memory, used.memory, allocatable.memory);
        let storage = [wanted, used, allocatable].map(|resources| resources.ephemeral_storage);
        short("Insufficient ephemeral-storage".into(), storage[0], storage[1], storage[2]);
        let is_left = |name: &str| self.ignored.contains(name) || allocatable.get(name) == 0 && provided(name);
        for (name, amount) in wanted.scalars.iter().filter(|(name, _)| !is_left(name)) {
            if *amount > allocatable.get(name).saturating_sub(used.get(name)) {
                short(format!("Insufficient {name}").into(), *amount, used.get(name), allocatable.get(name));
            }
        }
        let rejection = match reasons.len() {
            1 => Rejection::new(reasons.swap_remove(0)),
            _ => Rejection::with_reasons(reasons),
        };
        if resolvable { rejection } else { rejection.unresolvable() }
    }
}

impl Default for NodeResourcesFit {
    fn default() -> Self {
        let args = NodeResourcesFitArgs::default().with_defaults();
        let strategy = Strategy::new(&args.scoring_strategy.unwrap_or_default());
        Self { ignored: Ignored::default(), strategy, provided: Arc::default() }
    }
}

impl Plugin for NodeResourcesFit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn as_pre_filter(&self) -> Option<&dyn PreFilter> {
        Some(self)
    }

    fn as_filter(&self) -> Option<&dyn Filter> {
        Some(self)
    }

    fn as_score(&self) -> Option<&dyn Score> {
        Some(self)
    }

    fn as_requeue(&self) -> Option<&dyn Requeue> {
        Some(self)
    }
}

impl PreFilter for NodeResourcesFit {
    /// Classes are there if another plugin uses them: DynamicResources, to which their resources are left.
    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> PreFilterOutcome {
        let asked = pod.requests().scalars.keys().filter(|name| may_be_provided(name));
        let provided: BTreeSet<Arc<str>> =
            asked.filter(|name| class_of(name, snapshot.objects()).is_some()).cloned().collect();
        if !provided.is_empty() {
            if !provided.is_subset(&self.provided.read()) {
                self.provided.write().extend(provided.iter().cloned());
            }
            state.write(Provided(provided));
        }
        PreFilterOutcome::Continue
    }
}

impl Filter for NodeResourcesFit {
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let (wanted, used, allocatable) = (pod.requests(), node.requested(), node.allocatable());
        let provided = |name: &str| state.read::<Provided>().is_some_and(|Provided(names)| names.contains(name));
        if self.fits(wanted, used, allocatable, provided) {
            Ok(())
        } else {
            Err(self.reasons(wanted, used, allocatable, provided))
        }
    }
}

impl Score for NodeResourcesFit {
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> i64 {
        self.strategy.score(pod, node)
    }
}

impl Requeue for NodeResourcesFit {
    fn concerns(&self, kind: EventKind) -> bool {
        matches!(
            kind,
            EventKind::NodeAdded
                | EventKind::NodeUpdated
                | EventKind::AssignedPodUpdated
                | EventKind::PodReleased
                | EventKind::PodUpdated
        ) || kind == EventKind::ObjectChanged(ObjectKind::of::<DeviceClass>())
    }

    fn may_help(&self, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let wanted = pod.requests();
        if let Some(change) = event.change_of::<DeviceClass>() {
            let is_wanted = |class: &DeviceClass| wanted.scalars.keys().any(|name| provides(class, name));
            return change.new().is_some_and(|class| is_wanted(class));
        }
        let provided = |name: &str| self.provided.read().contains(name);
        let fits_empty = |node: &NodeInfo| self.fits(wanted, &Resources::default(), node.allocatable(), provided);
        match event {
            ClusterEvent::NodeAdded(node) => fits_empty(node),
            ClusterEvent::NodeUpdated { old, new } => {
                let (old, all) = (old.allocatable(), new.allocatable());
                fits_empty(new) && (all.pods > old.pods || has_more_of(wanted, all, old))
            }
            // A pod that was made smaller leaves what it gave up.
            ClusterEvent::AssignedPodUpdated { old, new } => has_more_of(wanted, old.requests(), new.requests()),
            ClusterEvent::PodUpdated { old, new } => has_more_of(old.requests(), old.requests(), new.requests()),
            _ => true,
        }
    }
}

/// Whether `all` has more than `before` of anything in `wanted`.
fn has_more_of(wanted: &Resources, all: &Resources, before: &Resources) -> bool {
    let more = |wanted: i64, all: i64, before: i64| wanted > 0 && all > before;
    more(wanted.milli_cpu, all.milli_cpu, before.milli_cpu)
        || more(wanted.memory, all.memory, before.memory)
        || more(wanted.ephemeral_storage, all.ephemeral_storage, before.ephemeral_storage)
        || wanted.scalars.iter().any(|(name, wanted)| more(*wanted, all.get(name), before.get(name)))
}
