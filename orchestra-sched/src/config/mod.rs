//! `KubeSchedulerConfiguration` of kubescheduler.config.k8s.io/v1: profiles, their plugins and arguments, as kube-scheduler reads them.
//!
//! ```
//! use orchestra_sched::config::{KubeSchedulerConfiguration, Registry};
//! let config = KubeSchedulerConfiguration::from_yaml(
//!     r#"
//! apiVersion: kubescheduler.config.k8s.io/v1
//! kind: KubeSchedulerConfiguration
//! profiles:
//! - schedulerName: default-scheduler
//! - schedulerName: packing
//!   plugins:
//!     score:
//!       disabled: [{ name: NodeResourcesBalancedAllocation }]
//!       enabled: [{ name: NodeResourcesFit, weight: 5 }]
//!   pluginConfig:
//!   - name: NodeResourcesFit
//!     args:
//!       scoringStrategy: { type: MostAllocated, resources: [{ name: cpu, weight: 1 }] }
//! "#,
//! )?;
//! let profiles = config.profiles(&Registry::kubernetes())?;
//! assert_eq!(profiles.keys().collect::<Vec<_>>(), ["default-scheduler", "packing"]);
//! # Ok::<(), orchestra_sched::config::ConfigError>(())
//! ```

mod duration;
mod extender;
mod merge;
mod profile;
mod registry;
#[cfg(test)]
mod tests;
mod validation;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::Value;

pub use self::{
    extender::{Extender, ExtenderManagedResource, ExtenderTlsConfig},
    profile::{EnabledPlugin, NamedPlugin, PluginConfig, PluginSet, Plugins, Profile},
    registry::Registry,
};
use crate::{
    driver::DEFAULT_SCHEDULER_NAME,
    extender::HttpExtender,
    framework::{ExtensionPoint, Framework},
    queue::QueueDelays,
};

const API_VERSION: &str = "kubescheduler.config.k8s.io/v1";
const KIND: &str = "KubeSchedulerConfiguration";

/// Why a configuration is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("couldn't read the configuration: {0}")]
    Syntax(String),
    /// It is of another version or kind.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    Unknown {
        /// What it says of its version.
        api_version: String,
        /// What it says of its kind.
        kind: String,
    },
    /// A field is not known, or has a value of another type.
    #[error("strict decoding error: {path}: {message}")]
    Field {
        /// Where: `profiles[0].plugins`.
        path: String,
        /// What is wrong there.
        message: String,
    },
    /// Fields have values that are not allowed.
    #[error("{0}")]
    Invalid(String),
    /// An extender cannot be asked.
    #[error("couldn't build extenders: {url}: {message}")]
    Extender {
        /// Its `urlPrefix`.
        url: String,
        /// Why.
        message: String,
    },
    /// A profile cannot be made.
    #[error("initializing profiles: creating profile for scheduler name {profile}: {message}")]
    Profile {
        /// Its `schedulerName`.
        profile: String,
        /// Why.
        message: String,
    },
}

/// A scheduler's configuration. What a field stands for is in [kube-scheduler's documentation][1]. What is about parts that this crate does
/// not have (`parallelism`, `clientConnection`, profiling) is read and left to whoever runs the scheduler.
///
/// [1]: https://kubernetes.io/docs/reference/config-api/kube-scheduler-config.v1/
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubeSchedulerConfiguration {
    api_version: String,
    kind: String,
    /// How many threads kube-scheduler filters with. One is enough here.
    #[serde(default = "sixteen")]
    pub parallelism: i32,
    /// Whether one of several schedulers works, and which.
    #[serde(default)]
    pub leader_election: LeaderElection,
    /// How the API server is reached.
    #[serde(default)]
    pub client_connection: ClientConnection,
    /// Whether profiles of the process are served.
    #[serde(default)]
    pub enable_profiling: Option<bool>,
    /// Whether contention is profiled, too.
    #[serde(default)]
    pub enable_contention_profiling: Option<bool>,
    /// The share of the nodes, in percent, among which the best is chosen; 0 is what suits their number.
    #[serde(default)]
    pub percentage_of_nodes_to_score: Option<i32>,
    /// How long a pod rests after its first attempt.
    #[serde(default = "one")]
    pub pod_initial_backoff_seconds: i64,
    /// How long it rests at most.
    #[serde(default = "ten")]
    pub pod_max_backoff_seconds: i64,
    /// The schedulers that there are, by name. Without any there is the default one.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Who else has a say in decisions, and is asked over HTTP.
    #[serde(default)]
    pub extenders: Vec<Extender>,
    /// Whether nothing is watched before the scheduler leads.
    #[serde(default)]
    pub delay_cache_until_active: bool,
}

fn sixteen() -> i32 {
    16
}

fn one() -> i64 {
    1
}

fn ten() -> i64 {
    10
}

/// Which of several schedulers works.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeaderElection {
    /// Whether one is elected at all.
    pub leader_elect: bool,
    /// How long others wait before they take the lease of one that is silent.
    #[serde(with = "duration")]
    pub lease_duration: Duration,
    /// How long the leader tries to renew its lease before it gives up.
    #[serde(with = "duration")]
    pub renew_deadline: Duration,
    /// How long between tries.
    #[serde(with = "duration")]
    pub retry_period: Duration,
    /// `leases`.
    pub resource_lock: String,
    /// The lease's name.
    pub resource_name: String,
    /// Its namespace.
    pub resource_namespace: String,
}

impl Default for LeaderElection {
    fn default() -> Self {
        Self {
            leader_elect: true,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            resource_lock: "leases".to_owned(),
            resource_name: "kube-scheduler".to_owned(),
            resource_namespace: "kube-system".to_owned(),
        }
    }
}

/// How the API server is reached.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClientConnection {
    /// The path of a kubeconfig; empty for the one of the environment.
    pub kubeconfig: String,
    /// What is accepted. JSON is what is used.
    pub accept_content_types: String,
    /// What is sent. JSON is what is used.
    pub content_type: String,
    /// How many requests a second. Nothing is held back here.
    pub qps: f32,
    /// How many of them at once.
    pub burst: i32,
}

impl Default for KubeSchedulerConfiguration {
    fn default() -> Self {
        Self {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            parallelism: sixteen(),
            leader_election: LeaderElection::default(),
            client_connection: ClientConnection::default(),
            enable_profiling: None,
            enable_contention_profiling: None,
            percentage_of_nodes_to_score: None,
            pod_initial_backoff_seconds: one(),
            pod_max_backoff_seconds: ten(),
            profiles: Vec::new(),
            extenders: Vec::new(),
            delay_cache_until_active: false,
        }
    }
}

impl KubeSchedulerConfiguration {
    /// Reads a configuration, and checks what can be known of it without the plugins.
    pub fn from_yaml(yaml: &str) -> Result<Self, ConfigError> {
        let value = serde_saphyr::from_str::<Value>(yaml).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        if api_version != API_VERSION || kind != KIND {
            return Err(ConfigError::Unknown { api_version, kind });
        }
        let mut config: Self = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            ConfigError::Field { path, message: error.into_inner().to_string() }
        })?;
        if let [only] = &mut *config.profiles
            && only.scheduler_name.is_empty()
        {
            only.scheduler_name = DEFAULT_SCHEDULER_NAME.to_owned();
        }
        config.validate()?;
        Ok(config)
    }

    /// Whether all values are allowed; to be called where a configuration was changed after it was read.
    pub fn validate(&self) -> Result<(), ConfigError> {
        validation::validate(self)
    }

    /// The schedulers that it describes, by name, of the plugins in `registry`. Where there are extenders, this is to be called where tokio
    /// runs.
    pub fn profiles(&self, registry: &Registry) -> Result<BTreeMap<String, Arc<Framework>>, ConfigError> {
        let default = [Profile { scheduler_name: DEFAULT_SCHEDULER_NAME.to_owned(), ..Profile::default() }];
        let profiles = if self.profiles.is_empty() { &default } else { &*self.profiles };
        let extenders = self.extenders()?;
        let mut built = BTreeMap::new();
        for profile in profiles {
            let framework = merge::build(profile, self, &extenders, registry)?;
            built.insert(profile.scheduler_name.clone(), Arc::new(framework));
        }
        one_queue_sort(profiles, &built)?;
        Ok(built)
    }

    /// Those that are asked, by all profiles.
    fn extenders(&self) -> Result<Vec<Arc<HttpExtender>>, ConfigError> {
        let dial = |extender: &Extender| match HttpExtender::new(extender.clone()) {
            Ok(dialled) => Ok(Arc::new(dialled)),
            Err(message) => Err(ConfigError::Extender { url: extender.url_prefix.clone(), message }),
        };
        self.extenders.iter().map(dial).collect()
    }

    /// How long pods rest between attempts.
    pub fn delays(&self) -> QueueDelays {
        let seconds = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        QueueDelays {
            initial_backoff: seconds(self.pod_initial_backoff_seconds),
            max_backoff: seconds(self.pod_max_backoff_seconds),
            ..QueueDelays::default()
        }
    }
}

/// All profiles share a queue, which has one order.
fn one_queue_sort(profiles: &[Profile], built: &BTreeMap<String, Arc<Framework>>) -> Result<(), ConfigError> {
    let sort = |profile: &Profile| {
        let name = built.get(&profile.scheduler_name)?.plugin_names_at(ExtensionPoint::QueueSort).next()?;
        let args = profile.plugin_config.iter().find(|config| config.name == name).map(|config| config.args.clone());
        Some((name, args))
    };
    let mut others = profiles.iter().skip(1);
    match others.find(|other| sort(other) != profiles.first().and_then(sort)) {
        Some(other) => Err(ConfigError::Profile {
            profile: other.scheduler_name.clone(),
            message: "queueSort plugins and their arguments must be the same for all profiles".to_owned(),
        }),
        None => Ok(()),
    }
}
