use std::time::Duration;

use jiff::SignedDuration;
use orchestra_core::field::{Error, Errors, Path, aggregate};
use serde::Deserialize;

/// How long a node may be looked at if nobody says otherwise.
pub(super) const FILTER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long devices may take to become ready if nobody says otherwise.
pub(super) const BINDING_TIMEOUT: Duration = Duration::from_secs(600);

/// `DynamicResourcesArgs` of kubescheduler.config.k8s.io/v1.
///
/// ```
/// use orchestra_sched::plugins::{DynamicResources, DynamicResourcesArgs};
/// let args: DynamicResourcesArgs = serde_json::from_str(r#"{ "filterTimeout": "500ms" }"#)?;
/// assert!(DynamicResources::new(args).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DynamicResourcesArgs {
    /// How long devices may be looked for on a node, such as `10s`, which it is without it; `0s` for as long as it takes.
    pub filter_timeout: Option<String>,
    /// How long devices with binding conditions may take to become ready, such as `10m`, which it is without it; `1s` at least.
    pub binding_timeout: Option<String>,
}

impl DynamicResourcesArgs {
    /// The timeout of filtering, if there is one, and that of binding, if all is well.
    pub(super) fn read(&self) -> Result<(Option<Duration>, Duration), String> {
        let (root, mut errors) = (Path::default(), Errors::new());
        let mut read = |name: &str, text: &Option<String>, least: SignedDuration, why: &str| {
            let (text, path) = (text.as_ref()?, root.child(name));
            match text.parse::<SignedDuration>() {
                Ok(duration) if duration >= least => return Some(duration.unsigned_abs()),
                Ok(_) => errors.push(Error::invalid(&path, text, why)),
                Err(_) => errors.push(Error::invalid(&path, text, "invalid duration")),
            }
            None
        };
        let filter = read("filterTimeout", &self.filter_timeout, SignedDuration::ZERO, "must be zero or positive");
        let least = SignedDuration::from_secs(1);
        let binding = read("bindingTimeout", &self.binding_timeout, least, "must be at least 1 second");
        aggregate(&errors)?;
        let filter = filter.unwrap_or(FILTER_TIMEOUT);
        Ok((Some(filter).filter(|timeout| !timeout.is_zero()), binding.unwrap_or(BINDING_TIMEOUT)))
    }
}
