use std::time::Duration;

use jiff::SignedDuration;
use orchestra_core::field::{Error, Errors, Path, aggregate};
use serde::Deserialize;

/// How long a node may be looked at if nobody says otherwise.
pub(super) const FILTER_TIMEOUT: Duration = Duration::from_secs(10);

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
    /// How long devices may take to become ready before their pod is bound: for devices with binding conditions, which are never
    /// allocated. To give any is an error.
    pub binding_timeout: Option<String>,
}

impl DynamicResourcesArgs {
    /// The timeout, if there is one and all is well.
    pub(super) fn read(&self) -> Result<Option<Duration>, String> {
        let (root, mut errors) = (Path::default(), Errors::new());
        let mut timeout = Some(FILTER_TIMEOUT);
        if let Some(text) = &self.filter_timeout {
            let path = root.child("filterTimeout");
            match text.parse::<SignedDuration>() {
                Ok(duration) if duration.is_negative() => {
                    errors.push(Error::invalid(&path, text, "must be zero or positive"));
                }
                Ok(duration) => timeout = Some(duration.unsigned_abs()).filter(|timeout| !timeout.is_zero()),
                Err(_) => errors.push(Error::invalid(&path, text, "invalid duration")),
            }
        }
        if self.binding_timeout.is_some() {
            let why = "devices with binding conditions are not supported";
            errors.push(Error::forbidden(&root.child("bindingTimeout"), why));
        }
        aggregate(&errors)?;
        Ok(timeout)
    }
}
