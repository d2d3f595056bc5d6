use std::time::Duration;

use orchestra_core::field::{Error, Errors, Path, Shown, aggregate};
use serde::Deserialize;

use super::super::UtilizationShapePoint;

/// `VolumeBindingArgs` of kubescheduler.config.k8s.io/v1.
///
/// ```
/// use orchestra_sched::plugins::{VolumeBinding, VolumeBindingArgs};
/// let args: VolumeBindingArgs = serde_json::from_str(r#"{ "bindTimeoutSeconds": 60 }"#)?;
/// assert!(VolumeBinding::new(args).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VolumeBindingArgs {
    /// How long the volumes of a pod may take to be bound, in seconds; without it, 600.
    pub bind_timeout_seconds: Option<i64>,
    /// How the storage that drivers have left compares nodes: for the feature `StorageCapacityScoring`, which is alpha in Kubernetes 1.36
    /// and not there. To give any is an error.
    pub shape: Option<Vec<UtilizationShapePoint>>,
}

impl VolumeBindingArgs {
    /// The timeout, if all is well.
    pub(super) fn read(&self) -> Result<Duration, String> {
        let (root, mut errors) = (Path::default(), Errors::new());
        let seconds = self.bind_timeout_seconds.unwrap_or(600);
        if seconds < 0 {
            let why = "invalid BindTimeoutSeconds, should not be a negative value";
            errors.push(Error::invalid(&root.child("bindTimeoutSeconds"), seconds, why));
        }
        if let Some(shape) = &self.shape {
            let point = |point: &UtilizationShapePoint| {
                format!(r#"{{"Utilization":{},"Score":{}}}"#, point.utilization, point.score)
            };
            let shown = Shown::raw(format!("[{}]", shape.iter().map(point).collect::<Vec<_>>().join(",")));
            let why = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
            errors.push(Error::invalid(&root.child("shape"), shown, why));
        }
        aggregate(&errors)?;
        Ok(Duration::from_secs(seconds.unsigned_abs()))
    }
}
