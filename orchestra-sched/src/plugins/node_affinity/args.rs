use k8s_openapi::api::core::v1::NodeAffinity as Affinity;
use orchestra_core::{
    field::{Errors, Path, aggregate},
    selector::node,
};
use serde::Deserialize;

/// `NodeAffinityArgs` of kubescheduler.config.k8s.io/v1.
///
/// ```
/// use orchestra_sched::plugins::{NodeAffinity, NodeAffinityArgs};
/// // Pods of this profile go to nodes of one pool only.
/// let args: NodeAffinityArgs = serde_json::from_str(
///     r#"{ "addedAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
///          { "matchExpressions": [{ "key": "pool", "operator": "In", "values": ["batch"] }] } ] } } }"#)?;
/// assert!(NodeAffinity::new(args).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeAffinityArgs {
    /// An affinity that every pod has beside its own.
    pub added_affinity: Option<Affinity>,
}

impl NodeAffinityArgs {
    pub(super) fn validate(&self) -> Result<(), String> {
        let Some(added) = &self.added_affinity else { return Ok(()) };
        let (path, mut errors) = (Path::new("addedAffinity"), Errors::new());
        let required = added.required_during_scheduling_ignored_during_execution.as_ref();
        let terms = path.child("requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        for (index, term) in required.iter().flat_map(|required| &required.node_selector_terms).enumerate() {
            errors.extend(node::errors(term, &terms.index(index)));
        }
        let preferred = added.preferred_during_scheduling_ignored_during_execution.iter().flatten();
        let terms = path.child("preferredDuringSchedulingIgnoredDuringExecution");
        // What has no weight is not read.
        for (index, term) in preferred.enumerate().filter(|(_, term)| term.weight != 0) {
            errors.extend(node::errors(&term.preference, &terms.index(index)));
        }
        aggregate(&errors)
    }
}
