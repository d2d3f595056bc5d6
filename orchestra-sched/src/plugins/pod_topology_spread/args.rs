use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use orchestra_core::{
    field::{Error, Errors, Path, aggregate},
    validation::qualified_name,
};
use serde::Deserialize;

pub(super) const SYSTEM: &str = "System";
pub(super) const LIST: &str = "List";

/// `PodTopologySpreadArgs` of kubescheduler.config.k8s.io/v1.
///
/// ```
/// use orchestra_sched::plugins::{PodTopologySpread, PodTopologySpreadArgs};
/// // Pods of Services and controllers must be spread over zones, if they do not say otherwise.
/// let args: PodTopologySpreadArgs = serde_json::from_str(
///     r#"{ "defaultingType": "List", "defaultConstraints": [
///          { "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule" } ] }"#)?;
/// assert!(PodTopologySpread::new(args).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodTopologySpreadArgs {
    /// The constraints of pods that have none of their own and belong to a Service, ReplicaSet, StatefulSet or ReplicationController. They
    /// count the pods that this selects.
    pub default_constraints: Vec<TopologySpreadConstraint>,
    /// `List` takes [`default_constraints`](Self::default_constraints), `System` those of Kubernetes: hosts with a skew of 3 and zones with
    /// one of 5, which only compare nodes. Without it, `System`.
    pub defaulting_type: String,
}

impl PodTopologySpreadArgs {
    pub(super) fn with_defaults(mut self) -> Self {
        if self.defaulting_type.is_empty() {
            self.defaulting_type = SYSTEM.to_owned();
        }
        self
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let (path, mut errors) = (Path::new("defaultingType"), Errors::new());
        match self.defaulting_type.as_str() {
            SYSTEM if !self.default_constraints.is_empty() => {
                errors.push(Error::invalid(&path, SYSTEM, "when .defaultConstraints are not empty"));
            }
            SYSTEM | LIST => {}
            other => errors.push(Error::not_supported(&path, other, &[SYSTEM, LIST])),
        }
        let path = Path::new("defaultConstraints");
        for (index, constraint) in self.default_constraints.iter().enumerate() {
            errors.extend(errors_of(constraint, &path.index(index)));
            let is_same = |other: &TopologySpreadConstraint| {
                (&other.topology_key, &other.when_unsatisfiable)
                    == (&constraint.topology_key, &constraint.when_unsatisfiable)
            };
            if self.default_constraints[..index].iter().any(is_same) {
                let pair = format!("{{{}, {}}}", constraint.topology_key, constraint.when_unsatisfiable);
                errors.push(Error::duplicate(&path.index(index), &pair));
            }
        }
        aggregate(&errors)
    }
}

fn errors_of(constraint: &TopologySpreadConstraint, path: &Path) -> Errors {
    let mut errors = Errors::new();
    if constraint.max_skew <= 0 {
        errors.push(Error::invalid(&path.child("maxSkew"), constraint.max_skew, "not in valid range (0, inf)"));
    }
    let key = path.child("topologyKey");
    if constraint.topology_key.is_empty() {
        errors.push(Error::required(&key, "can not be empty"));
    } else {
        let wrong = qualified_name::key(&constraint.topology_key).into_iter();
        errors.extend(wrong.map(|why| Error::invalid(&key, &constraint.topology_key, why)));
    }
    let action = path.child("whenUnsatisfiable");
    match constraint.when_unsatisfiable.as_str() {
        "DoNotSchedule" | "ScheduleAnyway" => {}
        "" => errors.push(Error::required(&action, "can not be empty")),
        other => errors.push(Error::not_supported(&action, other, &["DoNotSchedule", "ScheduleAnyway"])),
    }
    if constraint.label_selector.is_some() {
        let why = "constraint must not define a selector, as they deduced for each pod";
        errors.push(Error::forbidden(&path.child("labelSelector"), why));
    }
    errors
}
