use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::API_VERSION;
use crate::{
    framework::Plugin,
    plugins::{
        DefaultBinder, DefaultPreemption, DynamicResources, GangScheduling, ImageLocality, InterPodAffinity,
        NodeAffinity, NodeDeclaredFeatures, NodeName, NodePorts, NodeResourcesBalancedAllocation, NodeResourcesFit,
        NodeUnschedulable, NodeVolumeLimits, PodTopologySpread, PrioritySort, SchedulingGates, TaintToleration,
        VolumeBinding, VolumeRestrictions, VolumeZone,
    },
};

type Factory = Arc<dyn Fn(Value) -> Result<Arc<dyn Plugin>, String> + Send + Sync>;

/// The plugins that a configuration may name.
///
/// ```
/// use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection};
/// use orchestra_sched::{config::Registry, framework::{CycleState, Filter, Plugin}};
/// use serde::Deserialize;
///
/// /// Keeps pods off nodes whose name begins with `prefix`.
/// struct KeepSpares(Args);
///
/// #[derive(Default, Deserialize)]
/// #[serde(default, deny_unknown_fields)]
/// struct Args { prefix: String }
///
/// impl Plugin for KeepSpares {
///     fn name(&self) -> &'static str { "KeepSpares" }
///     fn as_filter(&self) -> Option<&dyn Filter> { Some(self) }
/// }
/// # impl Filter for KeepSpares {
/// #     fn filter(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
/// #         if node.name().starts_with(&self.0.prefix) { Err(Rejection::new("node(s) are spare")) } else { Ok(()) }
/// #     }
/// # }
///
/// let registry = Registry::kubernetes().with("KeepSpares", |args: Args| Ok(KeepSpares(args)));
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    factories: BTreeMap<String, Factory>,
}

impl Registry {
    /// Kubernetes' plugins.
    pub fn kubernetes() -> Self {
        Self::default()
            .plain(DefaultBinder)
            .plain(GangScheduling)
            .plain(ImageLocality)
            .plain(NodeDeclaredFeatures)
            .plain(NodeName)
            .plain(NodePorts)
            .plain(NodeUnschedulable)
            .plain(PrioritySort)
            .plain(SchedulingGates)
            .plain(TaintToleration)
            .plain(VolumeZone)
            .own("NodeVolumeLimits", |_: NoArgs| Ok(NodeVolumeLimits::default()))
            .own("VolumeRestrictions", |_: NoArgs| Ok(VolumeRestrictions::default()))
            .own("PodTopologySpread", PodTopologySpread::new)
            .own("DynamicResources", DynamicResources::new)
            .own("VolumeBinding", VolumeBinding::new)
            .own("DefaultPreemption", DefaultPreemption::new)
            .own("InterPodAffinity", InterPodAffinity::new)
            .own("NodeAffinity", NodeAffinity::new)
            .own("NodeResourcesBalancedAllocation", NodeResourcesBalancedAllocation::new)
            .own("NodeResourcesFit", NodeResourcesFit::new)
    }

    /// Adds a plugin, in the place of the one of this name. `new` gets the arguments that a profile has for it, the default ones if it has
    /// none, and may refuse them.
    #[must_use]
    pub fn with<A, P>(self, name: &str, new: impl Fn(A) -> Result<P, String> + Send + Sync + 'static) -> Self
    where
        A: DeserializeOwned + Default,
        P: Plugin,
    {
        self.insert(name, move |args| made(args, &new))
    }

    /// A plugin of Kubernetes: its arguments may say what they are.
    fn own<A, P>(self, name: &'static str, new: impl Fn(A) -> Result<P, String> + Send + Sync + 'static) -> Self
    where
        A: DeserializeOwned + Default,
        P: Plugin,
    {
        self.insert(name, move |args| made(without_type(args, name)?, &new))
    }

    /// A plugin that takes no arguments.
    fn plain<P: Plugin + Copy>(self, plugin: P) -> Self {
        self.own(plugin.name(), move |_: NoArgs| Ok(plugin))
    }

    fn insert(
        mut self,
        name: &str,
        factory: impl Fn(Value) -> Result<Arc<dyn Plugin>, String> + Send + Sync + 'static,
    ) -> Self {
        self.factories.insert(name.to_owned(), Arc::new(factory));
        self
    }

    /// The plugins' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.factories.keys().map(String::as_str)
    }

    /// The plugin called `name`, with these arguments; `None` if there is no such plugin.
    pub(super) fn make(&self, name: &str, args: Value) -> Option<Result<Arc<dyn Plugin>, String>> {
        self.factories.get(name).map(|factory| factory(args))
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

fn made<A, P>(args: Value, new: &impl Fn(A) -> Result<P, String>) -> Result<Arc<dyn Plugin>, String>
where
    A: DeserializeOwned + Default,
    P: Plugin,
{
    let args = match args {
        Value::Null => A::default(),
        args => serde_path_to_error::deserialize(args).map_err(|error| {
            let path = error.path().to_string();
            format!("strict decoding error: {path}: {}", error.into_inner())
        })?,
    };
    Ok(Arc::new(new(args)?))
}

/// Takes `apiVersion` and `kind` out, which have to be those of the plugin's arguments.
fn without_type(mut args: Value, plugin: &str) -> Result<Value, String> {
    if let Value::Object(fields) = &mut args {
        for (field, expected) in [("apiVersion", API_VERSION.to_owned()), ("kind", format!("{plugin}Args"))] {
            match fields.remove(field) {
                Some(told) if told != expected => return Err(format!("{field} is {told}, not {expected:?}")),
                _ => {}
            }
        }
    }
    Ok(args)
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
