use orchestra_core::field::{Error, Errors, Path, aggregate};
use serde::Deserialize;

/// `DefaultPreemptionArgs` of kubescheduler.config.k8s.io/v1: on how many nodes victims are looked for.
///
/// ```
/// use orchestra_sched::plugins::{DefaultPreemption, DefaultPreemptionArgs};
/// let args: DefaultPreemptionArgs = serde_json::from_str(r#"{ "minCandidateNodesPercentage": 50 }"#)?;
/// assert_eq!(args.min_candidate_nodes_absolute, 100);
/// assert!(DefaultPreemption::new(args).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DefaultPreemptionArgs {
    /// The share, in percent, of the nodes that fewer pods could make fit.
    pub min_candidate_nodes_percentage: i32,
    /// How many nodes at least, where there are so many.
    pub min_candidate_nodes_absolute: i32,
}

impl Default for DefaultPreemptionArgs {
    fn default() -> Self {
        Self { min_candidate_nodes_percentage: 10, min_candidate_nodes_absolute: 100 }
    }
}

impl DefaultPreemptionArgs {
    pub(super) fn validate(&self) -> Result<(), String> {
        let root = Path::default();
        let (percentage, absolute) =
            (root.child("minCandidateNodesPercentage"), root.child("minCandidateNodesAbsolute"));
        let Self { min_candidate_nodes_percentage, min_candidate_nodes_absolute } = *self;
        let mut errors = Errors::new();
        if !(0..=100).contains(&min_candidate_nodes_percentage) {
            errors.push(Error::invalid(&percentage, min_candidate_nodes_percentage, "not in valid range [0, 100]"));
        }
        if min_candidate_nodes_absolute < 0 {
            errors.push(Error::invalid(&absolute, min_candidate_nodes_absolute, "not in valid range [0, inf)"));
        }
        if min_candidate_nodes_percentage == 0 && min_candidate_nodes_absolute == 0 {
            for (path, other) in [(percentage, "minCandidateNodesAbsolute"), (absolute, "minCandidateNodesPercentage")]
            {
                errors.push(Error::invalid(&path, 0, format!("cannot be zero at the same time as {other}")));
            }
        }
        aggregate(&errors)
    }

    /// How many of so many nodes have to be found good before the search ends.
    pub(super) fn wanted(&self, nodes: usize) -> usize {
        let share = nodes.saturating_mul(usize::try_from(self.min_candidate_nodes_percentage).unwrap_or(0)) / 100;
        share.max(usize::try_from(self.min_candidate_nodes_absolute).unwrap_or(0)).min(nodes)
    }
}
