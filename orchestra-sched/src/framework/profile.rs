use std::{collections::BTreeMap, fmt, sync::Arc};

use orchestra_core::{
    ObjectKey,
    scheduler::{
        BindingCycle, ClusterEvent, Decision, EventKind, ObjectKind, Objects, Placement, PodInfo, QueueSort, Quorum,
        Rejection, ScheduleError, Scheduler, Snapshot,
    },
};

use super::{
    ExtensionPoint, Grouping, Plugin, contained, contained_future,
    cycle::{self, Question},
    measures::Measures,
};
use crate::{
    extender::HttpExtender,
    plugins::{self, DefaultBinder},
};

/// A [`Scheduler`] made of plugins, and of [extenders](crate::extender), which only [`decide`](Scheduler::decide) asks.
///
/// ```
/// use orchestra_sched::framework::Framework;
/// // What kube-scheduler does, but without regard for balance, and with preferred affinity twice as heavy.
/// let scheduler = Framework::builder()
///     .default_plugins()
///     .without("NodeResourcesBalancedAllocation")
///     .weight("NodeAffinity", 4)
///     .build();
/// assert!(scheduler.plugin_names().any(|name| name == "NodeResourcesFit"));
/// ```
pub struct Framework {
    plugins: Vec<Enabled>,
    /// Which of them take part at a point, in the order in which they do.
    order: [Vec<usize>; ExtensionPoint::ALL.len()],
    extenders: Vec<Arc<HttpExtender>>,
    pub(super) measures: Option<Measures>,
    pub(super) percentage_of_nodes_to_score: Option<u8>,
}

/// A plugin of a profile.
pub(super) struct Enabled {
    pub(super) plugin: Arc<dyn Plugin>,
    pub(super) weight: i64,
}

impl Enabled {
    /// What a normalized score counts in a node's total. Weights and the scores of plugins that do not keep to their range may be of any
    /// size.
    pub(super) fn weigh(&self, score: i64) -> i64 {
        self.weight.saturating_mul(score)
    }
}

impl Framework {
    /// Begins a profile without plugins.
    pub fn builder() -> FrameworkBuilder {
        FrameworkBuilder {
            plugins: Vec::new(),
            orders: BTreeMap::new(),
            extenders: Vec::new(),
            measured: None,
            percentage_of_nodes_to_score: None,
        }
    }

    /// The default profile: Kubernetes' plugins in their order and with their weights.
    pub fn kubernetes() -> Self {
        Self::builder().default_plugins().build()
    }

    /// The plugins, in the order they are asked.
    pub fn plugin_names(&self) -> impl Iterator<Item = &'static str> {
        self.plugins.iter().map(|enabled| enabled.plugin.name())
    }

    /// The plugins that take part at `point`, in the order in which they do.
    pub fn plugin_names_at(&self, point: ExtensionPoint) -> impl Iterator<Item = &'static str> {
        self.at(point).map(Plugin::name)
    }

    /// The plugins that take part at `point`, in the order in which they do.
    pub(super) fn enabled_at(&self, point: ExtensionPoint) -> impl DoubleEndedIterator<Item = &Enabled> {
        self.order[point as usize].iter().filter_map(|index| self.plugins.get(*index))
    }

    pub(super) fn at(&self, point: ExtensionPoint) -> impl DoubleEndedIterator<Item = &dyn Plugin> {
        self.enabled_at(point).map(|enabled| &*enabled.plugin)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(|enabled| &*enabled.plugin)
    }

    /// The extenders that are asked about `pod`, in the order in which they are.
    pub(super) fn extenders_for(&self, pod: &PodInfo) -> impl Iterator<Item = &HttpExtender> {
        self.extenders.iter().map(|extender| &**extender).filter(|extender| extender.is_interested(pod))
    }

    async fn ask(
        &self,
        extenders: Vec<&HttpExtender>,
        pod: &PodInfo,
        snapshot: &Snapshot,
        seed: u64,
    ) -> Result<Placement, ScheduleError> {
        let question = Question { framework: self, extenders: &extenders, pod, snapshot, seed };
        contained_future(cycle::decide(question)).await.unwrap_or_else(|panic| self.blame(&panic, pod, snapshot, seed))
    }

    fn blame(&self, panic: &str, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Result<Placement, ScheduleError> {
        let culprit = self.culprit(pod, snapshot, seed);
        let plugin = culprit.map_or_else(|| "a plugin".to_owned(), |name| format!("plugin {name:?}"));
        Err(ScheduleError::Internal(format!("{plugin} {panic}")))
    }

    /// Whose panic ended a decision: the first that does the same when it is alone.
    fn culprit(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Option<&'static str> {
        let panics = |enabled: &&Enabled| {
            let alone = Self::builder().enable(Arc::clone(&enabled.plugin), enabled.weight).build();
            contained(|| cycle::schedule(&alone, pod, snapshot, seed)).is_err()
        };
        self.plugins.iter().find(panics).map(|enabled| enabled.plugin.name())
    }

    /// Who says which pods are to have nodes at once.
    fn grouping(&self) -> Option<(&'static str, &dyn Grouping)> {
        self.at(ExtensionPoint::PreEnqueue).find_map(|plugin| Some((plugin.name(), plugin.as_grouping()?)))
    }

    fn plugin(&self, name: &str) -> Option<&dyn Plugin> {
        self.all().find(|plugin| plugin.name() == name)
    }
}

impl Scheduler for Framework {
    fn schedule(&self, pod: &PodInfo, snapshot: &Snapshot, seed: u64) -> Result<Placement, ScheduleError> {
        let decided = contained(|| cycle::schedule(self, pod, snapshot, seed));
        decided.unwrap_or_else(|panic| self.blame(&panic, pod, snapshot, seed))
    }

    fn decide<'a>(&'a self, pod: &'a PodInfo, snapshot: &'a Snapshot, seed: u64) -> Decision<'a> {
        let extenders: Vec<_> = self.extenders_for(pod).collect();
        if extenders.is_empty() {
            return Decision::Made(self.schedule(pod, snapshot, seed));
        }
        Decision::pending(self.ask(extenders, pod, snapshot, seed))
    }

    fn binding_cycle(&self) -> Option<&dyn BindingCycle> {
        Some(self)
    }

    fn pre_enqueue(&self, pod: &PodInfo) -> Result<(), Rejection> {
        for plugin in self.at(ExtensionPoint::PreEnqueue) {
            let Some(point) = plugin.as_pre_enqueue() else { continue };
            let verdict = contained(|| point.pre_enqueue(pod)).unwrap_or_else(|panic| Err(Rejection::new(panic)));
            verdict.map_err(|rejection| rejection.by(plugin.name()))?;
        }
        Ok(())
    }

    fn group(&self, pod: &PodInfo) -> Option<ObjectKey> {
        self.grouping().and_then(|(_, point)| point.group(pod))
    }

    fn quorum(&self, group: &ObjectKey, pods: usize, objects: &Objects) -> Result<Quorum, Rejection> {
        let Some((name, point)) = self.grouping() else { return Ok(Quorum::none()) };
        let quorum = point.quorum(group, pods, objects).map_err(|rejection| rejection.by(name))?;
        Ok(Quorum::of(quorum.minimum, quorum.unmet.by(name)))
    }

    fn queue_sort(&self) -> Option<Arc<dyn QueueSort>> {
        self.at(ExtensionPoint::QueueSort).rev().find_map(Plugin::as_queue_sort)
    }

    fn concerns(&self, plugin: &str, kind: EventKind) -> bool {
        let requeue = self.plugin(plugin).and_then(Plugin::as_requeue);
        requeue.is_none_or(|requeue| requeue.concerns(kind))
    }

    fn may_help(&self, plugin: &str, event: &ClusterEvent, pod: &PodInfo) -> bool {
        let requeue = self.plugin(plugin).and_then(Plugin::as_requeue);
        requeue.is_none_or(|requeue| requeue.concerns(event.kind()) && requeue.may_help(event, pod))
    }

    fn describe(&self, pod: &PodInfo, snapshot: &Snapshot) -> Option<String> {
        Some(self.explain(pod, snapshot).to_string())
    }

    fn uses(&self) -> Vec<ObjectKind> {
        self.all().flat_map(Plugin::uses).collect()
    }
}

impl fmt::Debug for Framework {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plugins: Vec<_> = self.plugins.iter().map(|enabled| (enabled.plugin.name(), enabled.weight)).collect();
        f.debug_struct("Framework").field("plugins", &plugins).finish_non_exhaustive()
    }
}

/// Puts a [`Framework`] together.
pub struct FrameworkBuilder {
    plugins: Vec<Enabled>,
    orders: BTreeMap<ExtensionPoint, Vec<String>>,
    extenders: Vec<Arc<HttpExtender>>,
    measured: Option<String>,
    percentage_of_nodes_to_score: Option<u8>,
}

impl FrameworkBuilder {
    /// Adds Kubernetes' default plugins.
    #[must_use]
    pub fn default_plugins(mut self) -> Self {
        for (plugin, weight) in plugins::default_plugins() {
            self = self.enable(plugin, weight);
        }
        self
    }

    /// Adds a plugin after the others, or in the place of the one of its name; its scores count once.
    #[must_use]
    pub fn plugin(self, plugin: impl Plugin) -> Self {
        self.enable(Arc::new(plugin), 1)
    }

    /// As [`plugin`](Self::plugin), shared and with a weight for its scores.
    #[must_use]
    pub fn enable(mut self, plugin: Arc<dyn Plugin>, weight: i64) -> Self {
        let enabled = Enabled { plugin, weight };
        match self.plugins.iter_mut().find(|other| other.plugin.name() == enabled.plugin.name()) {
            Some(other) => *other = enabled,
            None => self.plugins.push(enabled),
        }
        self
    }

    /// Takes the plugin called `name` out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.plugins.retain(|enabled| enabled.plugin.name() != name);
        self
    }

    /// Sets how much the scores of the plugin called `name` count.
    #[must_use]
    pub fn weight(mut self, name: &str, weight: i64) -> Self {
        for enabled in self.plugins.iter_mut().filter(|enabled| enabled.plugin.name() == name) {
            enabled.weight = weight;
        }
        self
    }

    /// Has at `point` these plugins take part, in this order, and no others. By default all do that can, in the order in which they were
    /// added.
    ///
    /// ```
    /// use orchestra_sched::framework::{ExtensionPoint, Framework};
    /// // Nodes whose taints a pod tolerates are all alike, and affinity is asked first.
    /// let names = ["NodeAffinity", "NodeResourcesFit"];
    /// let scheduler = Framework::builder().default_plugins().order(ExtensionPoint::Score, names).build();
    /// assert_eq!(scheduler.plugin_names_at(ExtensionPoint::Score).collect::<Vec<_>>(), names);
    /// ```
    #[must_use]
    pub fn order(mut self, point: ExtensionPoint, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.orders.insert(point, names.into_iter().map(Into::into).collect());
        self
    }

    /// Has decisions ask `extender`, too, after those that were added before, or after all others if it may be ignored.
    #[must_use]
    pub fn extender(mut self, extender: impl Into<Arc<HttpExtender>>) -> Self {
        self.extenders.push(extender.into());
        self
    }

    /// Measures how long the plugins take at each extension point, and in one of ten decisions each of them, under kube-scheduler's names and
    /// as the profile of this name: `scheduler_framework_extension_point_duration_seconds`, `scheduler_plugin_execution_duration_seconds`. Of
    /// Filter, a plugin's call for one node is timed. The durations go to the recorder of the crate [`metrics`] that is installed when they
    /// are first measured. Profiles of a [configuration](crate::config) are measured, others are not unless this is called.
    #[must_use]
    pub fn measured(mut self, profile: impl Into<String>) -> Self {
        self.measured = Some(profile.into());
        self
    }

    /// The share of the nodes, in percent, among which the best is chosen; without it, as Kubernetes adapts it to their number.
    #[must_use]
    pub fn percentage_of_nodes_to_score(mut self, percentage: u8) -> Self {
        self.percentage_of_nodes_to_score = Some(percentage);
        self
    }

    /// The finished profile. [`DefaultBinder`] binds what no other plugin does. Of several plugins that sort the queue the last does.
    pub fn build(self) -> Framework {
        let has_binder = self.plugins.iter().any(|enabled| enabled.plugin.name() == Plugin::name(&DefaultBinder));
        let mut this = if has_binder { self } else { self.plugin(DefaultBinder) };
        this.extenders.sort_by_key(|extender| extender.is_ignorable());
        let order = ExtensionPoint::ALL.map(|point| this.order_at(point));
        let FrameworkBuilder { plugins, extenders, measured, percentage_of_nodes_to_score, .. } = this;
        Framework { plugins, order, extenders, measures: measured.map(Measures::of), percentage_of_nodes_to_score }
    }

    fn order_at(&self, point: ExtensionPoint) -> Vec<usize> {
        let able = || self.plugins.iter().enumerate().filter(|(_, enabled)| point.has(&*enabled.plugin));
        match self.orders.get(&point) {
            None => able().map(|(index, _)| index).collect(),
            Some(names) => {
                let find = |name: &String| able().find(|(_, enabled)| enabled.plugin.name() == name);
                names.iter().filter_map(find).map(|(index, _)| index).collect()
            }
        }
    }
}
