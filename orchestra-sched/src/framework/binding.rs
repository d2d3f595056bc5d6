//! The extension points between a decision and the pod's being bound.

use std::time::Duration;

use async_trait::async_trait;
use orchestra_core::scheduler::{Binding, BindingCycle, Permission, Placement, PodInfo, Rejection, WaitingPods};
use tracing::warn;

use super::{
    ExtensionPoint, Framework,
    containment::{contained, contained_future},
    extended,
    measures::{Status, Stopwatch},
};

/// No plugin has a pod wait longer, as in Kubernetes.
const MAX_WAIT: Duration = Duration::from_secs(15 * 60);

/// What a [`Permit`] plugin says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PermitOutcome {
    /// The pod may be bound.
    Allow,
    /// It is to wait until the plugin allows or rejects it; after so long, 15 minutes at most, it is rejected.
    Wait(Duration),
    /// It may not be bound.
    Reject(Rejection),
}

/// Says whether a pod may be bound to the node that was chosen for it, or has it wait: for others of its group, for a device.
pub trait Permit: Send + Sync {
    /// Is called in the order of decisions. `waiting` has the pods that wait already; it may be kept, to allow or reject them later.
    fn permit(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods) -> PermitOutcome;
}

/// Does what has to be done before a pod is bound, such as attaching what it needs.
#[async_trait]
pub trait PreBind: Send + Sync {
    /// Whether there is anything to do for this pod (`PreBindPreFlight`). By default there is. A pod for which no plugin has anything to do is
    /// bound at once.
    fn is_needed(&self, pod: &PodInfo, placement: &Placement) -> bool {
        let _ = (pod, placement);
        true
    }

    /// Does it. An error is told to the user, and the pod tried again after a back-off.
    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String>;

    /// Takes back what was written: the pod is not bound. Called, of plugins that were needed, after those behind it, whether
    /// [`pre_bind`](Self::pre_bind) came to its end, or so far that it was called at all. In Kubernetes `Unreserve` does this. By default
    /// nothing is done.
    async fn undo(&self, binding: Binding<'_>) {
        let _ = binding;
    }
}

/// What a [`Bind`] plugin did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindOutcome {
    /// The pod is bound.
    Bound,
    /// It is not for this plugin to bind: the next one is asked.
    Skip,
    /// It is not bound, and why.
    Failed(String),
}

/// Binds pods.
#[async_trait]
pub trait Bind: Send + Sync {
    /// Binds the pod, or leaves it to the next plugin. Where it is not known whether the pod is bound, the plugin finds out.
    async fn bind(&self, binding: Binding<'_>) -> BindOutcome;

    /// Binds the pods of a group at once, all of them or none, and answers for each, in their order. `None` if it cannot: then each is bound on
    /// its own. It is asked where no other plugin binds.
    async fn bind_all(&self, bindings: &[Binding<'_>]) -> Option<Vec<Result<(), String>>> {
        let _ = bindings;
        None
    }
}

/// Hears of pods that were bound.
pub trait PostBind: Send + Sync {
    /// The pod is bound to the node.
    fn post_bind(&self, pod: &PodInfo, node: &str);
}

#[async_trait]
impl BindingCycle for Framework {
    fn permit(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods) -> Permission {
        let mut watch = Stopwatch::start(self.measures.as_ref());
        let permission = self.ask_permission(pod, node, waiting);
        watch.lap(ExtensionPoint::Permit, &permission);
        permission
    }

    fn has_pre_bind(&self, pod: &PodInfo, placement: &Placement) -> bool {
        self.needed(pod, placement).next().is_some()
    }

    async fn pre_bind(&self, binding: Binding<'_>) -> Result<(), String> {
        let mut watch = Stopwatch::start(self.measures.as_ref());
        let done = self.prepare(binding).await;
        watch.lap(ExtensionPoint::PreBind, Status::of(&done));
        done
    }

    async fn bind(&self, binding: Binding<'_>) -> Result<(), String> {
        if let Some(bound) = extended::bind(self.extenders_for(binding.pod), binding).await {
            return bound;
        }
        let mut watch = Stopwatch::start(self.measures.as_ref());
        let bound = self.ask_binders(binding).await;
        watch.lap(ExtensionPoint::Bind, Status::of(&bound));
        bound
    }

    async fn bind_all(&self, bindings: &[Binding<'_>]) -> Option<Vec<Result<(), String>>> {
        // Where several bind, each pod may be another's.
        if bindings.iter().any(|binding| self.extenders_for(binding.pod).any(|extender| extender.binds())) {
            return None;
        }
        let mut binders = self.at(ExtensionPoint::Bind).filter_map(|plugin| Some((plugin.name(), plugin.as_bind()?)));
        let (Some((name, only)), None) = (binders.next(), binders.next()) else { return None };
        let bound = contained_future(only.bind_all(bindings)).await;
        let bound = bound.unwrap_or_else(|panic| Some(vec![Err(panic); bindings.len()]))?;
        let told = |error| format!("binding rejected: running Bind plugin {name:?}: {error}");
        Some(bound.into_iter().map(|bound| bound.map_err(told)).collect())
    }

    fn post_bind(&self, pod: &PodInfo, node: &str) {
        let mut watch = Stopwatch::start(self.measures.as_ref());
        for plugin in self.at(ExtensionPoint::PostBind) {
            let Some(point) = plugin.as_post_bind() else { continue };
            if let Err(panic) = contained(|| point.post_bind(pod, node)) {
                warn!(plugin = plugin.name(), pod = %pod.key(), "PostBind {panic}");
            }
        }
        watch.lap(ExtensionPoint::PostBind, Status::Success);
    }

    fn unreserve(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods) {
        // In the opposite order, as in Kubernetes.
        for plugin in self.at(ExtensionPoint::Reserve).rev() {
            let Some(point) = plugin.as_reserve() else { continue };
            if let Err(panic) = contained(|| point.unreserve(pod, node, waiting)) {
                warn!(plugin = plugin.name(), pod = %pod.key(), "Unreserve {panic}");
            }
        }
    }

    async fn undo(&self, binding: Binding<'_>) {
        for (plugin, point) in self.needed(binding.pod, binding.placement).rev() {
            if let Err(panic) = contained_future(point.undo(binding)).await {
                warn!(plugin, pod = %binding.pod.key(), "PreBind {panic}");
            }
        }
    }
}

impl Framework {
    fn ask_permission(&self, pod: &PodInfo, node: &str, waiting: &WaitingPods) -> Permission {
        let mut pending = Vec::new();
        for plugin in self.at(ExtensionPoint::Permit) {
            let Some(point) = plugin.as_permit() else { continue };
            match contained(|| point.permit(pod, node, waiting)) {
                Ok(PermitOutcome::Allow) => {}
                Ok(PermitOutcome::Wait(patience)) => pending.push((plugin.name(), patience.min(MAX_WAIT))),
                Ok(PermitOutcome::Reject(rejection)) => return Permission::Denied(rejection.by(plugin.name())),
                Err(panic) => return Permission::Failed(format!("running Permit plugin {:?}: {panic}", plugin.name())),
            }
        }
        if pending.is_empty() { Permission::Granted } else { Permission::Pending(pending) }
    }

    async fn prepare(&self, binding: Binding<'_>) -> Result<(), String> {
        for (plugin, point) in self.needed(binding.pod, binding.placement) {
            let done = contained_future(point.pre_bind(binding)).await.flatten();
            done.map_err(|error| format!("running PreBind plugin {plugin:?}: {error}"))?;
        }
        Ok(())
    }

    /// Those that have something to do before the pod is bound.
    fn needed<'a>(
        &'a self,
        pod: &'a PodInfo,
        placement: &'a Placement,
    ) -> impl DoubleEndedIterator<Item = (&'static str, &'a dyn PreBind)> {
        let points = self.at(ExtensionPoint::PreBind).filter_map(|plugin| Some((plugin.name(), plugin.as_pre_bind()?)));
        points.filter(|(name, point)| {
            // One that panics is called: its panic is told then.
            contained(|| point.is_needed(pod, placement)).unwrap_or_else(|panic| {
                warn!(plugin = name, pod = %pod.key(), "PreBindPreFlight {panic}");
                true
            })
        })
    }

    async fn ask_binders(&self, binding: Binding<'_>) -> Result<(), String> {
        for plugin in self.at(ExtensionPoint::Bind) {
            let Some(point) = plugin.as_bind() else { continue };
            match contained_future(point.bind(binding)).await.unwrap_or_else(BindOutcome::Failed) {
                BindOutcome::Bound => return Ok(()),
                BindOutcome::Skip => {}
                BindOutcome::Failed(error) => {
                    return Err(format!("binding rejected: running Bind plugin {:?}: {error}", plugin.name()));
                }
            }
        }
        Err("binding rejected: no plugin binds the pod".to_owned())
    }
}
