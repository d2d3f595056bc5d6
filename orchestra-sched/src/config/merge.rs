//! From what a profile says to the plugins that take part.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{ConfigError, EnabledPlugin, KubeSchedulerConfiguration, Plugins, Profile, Registry, profile::PluginSet};
use crate::{
    extender::HttpExtender,
    framework::{ExtensionPoint, Framework, Plugin},
    plugins::{self, DefaultBinder},
};

pub(super) fn build(
    profile: &Profile,
    config: &KubeSchedulerConfiguration,
    extenders: &[Arc<HttpExtender>],
    registry: &Registry,
) -> Result<Framework, ConfigError> {
    let failed = |message| ConfigError::Profile { profile: profile.scheduler_name.clone(), message };
    let repeated = profile.plugins.multi_point.repeated();
    if let Some(name) = repeated {
        return Err(failed(format!("plugin {name:?} already registered as \"MultiPoint\"")));
    }
    let everywhere = everywhere(&profile.plugins.multi_point);
    let made = make(profile, &everywhere, &ignored_resources(config), registry).map_err(failed)?;
    let mut builder = Framework::builder().measured(&profile.scheduler_name);
    for (name, weight) in weights(&profile.plugins, &everywhere) {
        if let Some(plugin) = made.get(name) {
            builder = builder.enable(Arc::clone(plugin), weight);
        }
    }
    for point in ExtensionPoint::ALL {
        let names = order_at(point, &profile.plugins, &everywhere, &made).map_err(failed)?;
        if names.is_empty() && matches!(point, ExtensionPoint::Bind) {
            return Err(failed("at least one bind plugin is needed".to_owned()));
        }
        if names.len() != 1 && matches!(point, ExtensionPoint::QueueSort) {
            let message =
                format!("one queue sort plugin required for profile, but there are {}: {names:?}", names.len());
            return Err(failed(message));
        }
        builder = builder.order(point, names);
    }
    for extender in extenders {
        builder = builder.extender(Arc::clone(extender));
    }
    let percentage = profile.percentage_of_nodes_to_score.or(config.percentage_of_nodes_to_score);
    let percentage = percentage.filter(|percentage| *percentage != 0);
    if let Some(percentage) = percentage.and_then(|percentage| u8::try_from(percentage).ok()) {
        builder = builder.percentage_of_nodes_to_score(percentage);
    }
    Ok(builder.build())
}

/// The plugins that take part wherever they can: the default ones that are not disabled, each replaced by what is said of it, and then the
/// others.
fn everywhere(said: &PluginSet) -> Vec<EnabledPlugin> {
    let mut defaults: Vec<_> = plugins::default_plugins()
        .into_iter()
        .map(|(plugin, weight)| (plugin.name(), i32::try_from(weight).unwrap_or(1)))
        .collect();
    defaults.push((Plugin::name(&DefaultBinder), 1));
    let mut everywhere = Vec::new();
    for (name, weight) in defaults {
        match said.enabled(name) {
            _ if said.disables(name) => {}
            Some(replacement) => everywhere.push(replacement.clone()),
            None => everywhere.push(EnabledPlugin { name: name.to_owned(), weight }),
        }
    }
    let is_new = |enabled: &&EnabledPlugin| !everywhere.iter().any(|other| other.name == enabled.name);
    let others: Vec<_> = said.enabled.iter().filter(is_new).cloned().collect();
    everywhere.extend(others);
    everywhere
}

/// All plugins that are named, by name.
fn make<'a>(
    profile: &'a Profile,
    everywhere: &'a [EnabledPlugin],
    ignored_resources: &[Value],
    registry: &Registry,
) -> Result<BTreeMap<&'a str, Arc<dyn Plugin>>, String> {
    let at_points = ExtensionPoint::ALL.into_iter().flat_map(|point| &profile.plugins.at(point).enabled);
    let args = |name: &str| {
        let config = profile.plugin_config.iter().find(|config| config.name == name);
        let mut args = config.map_or(Value::Null, |config| config.args.clone());
        if name == "NodeResourcesFit" && !ignored_resources.is_empty() {
            ignore(&mut args, ignored_resources);
        }
        args
    };
    let mut made = BTreeMap::new();
    for name in everywhere.iter().chain(at_points).map(|enabled| enabled.name.as_str()) {
        if !made.contains_key(name) {
            let plugin = registry.make(name, args(name)).ok_or_else(|| format!("plugin {name:?} does not exist"))?;
            let plugin = plugin.map_err(|error| format!("initializing plugin {name:?}: {error}"))?;
            if plugin.name() != name {
                return Err(format!("the plugin that is registered as {name:?} calls itself {:?}", plugin.name()));
            }
            made.insert(name, plugin);
        }
    }
    for name in profile.plugin_config.iter().map(|config| config.name.as_str()).filter(|name| !made.contains_key(name))
    {
        // Of a plugin that takes no part only that it exists, and that its arguments are good, is of interest.
        let plugin = registry.make(name, args(name)).ok_or_else(|| format!("plugin {name:?} does not exist"))?;
        plugin.map_err(|error| format!("initializing plugin {name:?}: {error}"))?;
    }
    Ok(made)
}

/// The resources that extenders look after in the place of `NodeResourcesFit`.
pub(super) fn ignored_resources(config: &KubeSchedulerConfiguration) -> Vec<Value> {
    let managed = config.extenders.iter().flat_map(|extender| &extender.managed_resources);
    managed.filter(|resource| resource.ignored_by_scheduler).map(|resource| resource.name.as_str().into()).collect()
}

/// Adds to `ignoredResources` of `NodeResourcesFit`; arguments of another type are left for the plugin to refuse.
pub(super) fn ignore(args: &mut Value, resources: &[Value]) {
    if args.is_null() {
        *args = json!({});
    }
    if let Value::Object(fields) = args {
        let ignored = fields.entry("ignoredResources").or_insert_with(|| json!([]));
        if ignored.is_null() {
            *ignored = json!([]);
        }
        if let Value::Array(ignored) = ignored {
            ignored.extend_from_slice(resources);
        }
    }
}

/// All plugins that take part, with how much their scores count.
fn weights<'a>(plugins: &'a Plugins, everywhere: &'a [EnabledPlugin]) -> Vec<(&'a str, i64)> {
    let at_points = ExtensionPoint::ALL.into_iter().flat_map(|point| &plugins.at(point).enabled);
    let mut weights: Vec<(&str, i64)> = Vec::new();
    for name in everywhere.iter().chain(at_points).map(|enabled| enabled.name.as_str()) {
        if weights.iter().any(|(other, _)| *other == name) {
            continue;
        }
        let of_score = plugins.score.enabled(name).map(|enabled| enabled.weight);
        let of_all = || everywhere.iter().find(|enabled| enabled.name == name).map(|enabled| enabled.weight);
        let weight = of_score.or_else(of_all).filter(|weight| *weight != 0).unwrap_or(1);
        weights.push((name, i64::from(weight)));
    }
    weights
}

/// Who takes part at `point`. Those that are named for it and take part everywhere come first, in the order in which they are named; then
/// those that take part everywhere; then the others that are named for it.
fn order_at<'a>(
    point: ExtensionPoint,
    plugins: &'a Plugins,
    everywhere: &'a [EnabledPlugin],
    made: &BTreeMap<&str, Arc<dyn Plugin>>,
) -> Result<Vec<&'a str>, String> {
    let said = plugins.at(point);
    if let Some(name) = said.repeated() {
        return Err(format!("plugin {name:?} already registered as \"{point}\""));
    }
    let is_able = |name: &str| made.get(name).is_some_and(|plugin| point.has(&**plugin));
    let is_known = |name: &str| is_able(name) || ExtensionPoint::of_kubernetes(name).contains(&point);
    if let Some(unable) = said.enabled.iter().find(|enabled| !is_known(&enabled.name)) {
        return Err(format!("plugin {:?} does not extend {point} plugin", unable.name));
    }
    let is_everywhere = |name: &str| everywhere.iter().any(|enabled| enabled.name == name);
    let (moved, own): (Vec<_>, Vec<_>) = said
        .enabled
        .iter()
        .map(|enabled| enabled.name.as_str())
        .filter(|name| is_able(name))
        .partition(|name| is_everywhere(name) && !said.disables(name));
    let stays = |name: &&str| is_able(name) && !said.disables(name) && !moved.contains(name);
    let others = everywhere.iter().map(|enabled| enabled.name.as_str()).filter(stays);
    Ok(moved.iter().copied().chain(others).chain(own).collect())
}
