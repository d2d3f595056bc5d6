use serde::Deserialize;
use serde_json::Value;

use crate::framework::ExtensionPoint;

/// One scheduler of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profile {
    /// The name by which pods ask for it. One that is alone may be without, and is the default scheduler then.
    pub scheduler_name: String,
    /// As the configuration's field of the same name, for this scheduler alone.
    pub percentage_of_nodes_to_score: Option<i32>,
    /// Which plugins take part, beside the default ones, or in their place.
    pub plugins: Plugins,
    /// Arguments of plugins.
    pub plugin_config: Vec<PluginConfig>,
}

/// Which plugins take part where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Plugins {
    /// At `PreEnqueue`.
    pub pre_enqueue: PluginSet,
    /// At `QueueSort`.
    pub queue_sort: PluginSet,
    /// At `PreFilter`.
    pub pre_filter: PluginSet,
    /// At `Filter`.
    pub filter: PluginSet,
    /// At `PostFilter`.
    pub post_filter: PluginSet,
    /// At `PreScore`.
    pub pre_score: PluginSet,
    /// At `Score`.
    pub score: PluginSet,
    /// At `Reserve`.
    pub reserve: PluginSet,
    /// At `Permit`.
    pub permit: PluginSet,
    /// At `PreBind`.
    pub pre_bind: PluginSet,
    /// At `Bind`.
    pub bind: PluginSet,
    /// At `PostBind`.
    pub post_bind: PluginSet,
    /// Wherever they can. What is said of one point is stronger.
    pub multi_point: PluginSet,
}

impl Plugins {
    /// What is said of one point.
    pub fn at(&self, point: ExtensionPoint) -> &PluginSet {
        match point {
            ExtensionPoint::PreEnqueue => &self.pre_enqueue,
            ExtensionPoint::QueueSort => &self.queue_sort,
            ExtensionPoint::PreFilter => &self.pre_filter,
            ExtensionPoint::Filter => &self.filter,
            ExtensionPoint::PostFilter => &self.post_filter,
            ExtensionPoint::PreScore => &self.pre_score,
            ExtensionPoint::Score => &self.score,
            ExtensionPoint::Reserve => &self.reserve,
            ExtensionPoint::Permit => &self.permit,
            ExtensionPoint::PreBind => &self.pre_bind,
            ExtensionPoint::Bind => &self.bind,
            ExtensionPoint::PostBind => &self.post_bind,
        }
    }
}

/// Plugins that take part beside the default ones, and default ones that do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PluginSet {
    /// Those that take part, in their order.
    pub enabled: Vec<EnabledPlugin>,
    /// Those that do not; `*` is all default ones.
    pub disabled: Vec<NamedPlugin>,
}

impl PluginSet {
    /// Whether the default plugin of this name is left out.
    pub fn disables(&self, name: &str) -> bool {
        self.disabled.iter().any(|disabled| disabled.name == name || disabled.name == "*")
    }

    /// A plugin that is enabled twice.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut names = self.enabled.iter().map(|enabled| enabled.name.as_str()).enumerate();
        names
            .find(|(index, name)| self.enabled.iter().take(*index).any(|before| before.name == *name))
            .map(|(_, name)| name)
    }

    pub(super) fn enabled(&self, name: &str) -> Option<&EnabledPlugin> {
        self.enabled.iter().find(|enabled| enabled.name == name)
    }
}

/// A plugin that takes part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnabledPlugin {
    /// The plugin's name.
    pub name: String,
    /// How much its scores count; zero is once.
    #[serde(default)]
    pub weight: i32,
}

/// A plugin that takes no part. A weight is read and does not matter, as in Kubernetes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedPlugin {
    /// The plugin's name, or `*`.
    pub name: String,
    #[serde(default, rename = "weight")]
    _weight: i32,
}

/// Arguments of a plugin.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginConfig {
    /// The plugin's name.
    pub name: String,
    /// Its arguments: for Kubernetes' plugins an object like `NodeAffinityArgs`.
    #[serde(default)]
    pub args: Value,
}
