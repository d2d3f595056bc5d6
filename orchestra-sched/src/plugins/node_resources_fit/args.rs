use orchestra_core::{
    field::{Error, Errors, Path, aggregate},
    validation::qualified_name,
};
use serde::Deserialize;

use super::{
    super::resource_spec::{ResourceSpec, validate_weights},
    shape::{UtilizationShapePoint, validate_shape},
};

/// `NodeResourcesFitArgs` of kubescheduler.config.k8s.io/v1.
///
/// ```
/// use orchestra_sched::plugins::{NodeResourcesFit, NodeResourcesFitArgs};
/// let args: NodeResourcesFitArgs = serde_json::from_str(
///     r#"{ "ignoredResources": ["example.org/license"],
///          "scoringStrategy": { "type": "MostAllocated", "resources": [{ "name": "cpu", "weight": 3 }, { "name": "memory" }] } }"#)?;
/// assert!(NodeResourcesFit::new(args).is_ok());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeResourcesFitArgs {
    /// Extended resources that a node need not have.
    pub ignored_resources: Vec<String>,
    /// Domains of extended resources that a node need not have: `example.org` for `example.org/license`.
    pub ignored_resource_groups: Vec<String>,
    /// How nodes are compared; without it, `LeastAllocated` by CPU and memory.
    pub scoring_strategy: Option<ScoringStrategy>,
}

/// How nodes that have enough are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScoringStrategy {
    /// `LeastAllocated`, `MostAllocated` or `RequestedToCapacityRatio`.
    pub r#type: String,
    /// By what they are compared; without any, CPU and memory.
    pub resources: Vec<ResourceSpec>,
    /// What `RequestedToCapacityRatio` needs, and no other may have.
    pub requested_to_capacity_ratio: Option<RequestedToCapacityRatioParam>,
}

/// What `RequestedToCapacityRatio` needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RequestedToCapacityRatioParam {
    /// The score of each utilization, in order.
    pub shape: Vec<UtilizationShapePoint>,
}

pub(super) const LEAST_ALLOCATED: &str = "LeastAllocated";
pub(super) const MOST_ALLOCATED: &str = "MostAllocated";
pub(super) const REQUESTED_TO_CAPACITY_RATIO: &str = "RequestedToCapacityRatio";

impl NodeResourcesFitArgs {
    /// Fills in what Kubernetes fills in.
    pub(super) fn with_defaults(mut self) -> Self {
        let strategy = self.scoring_strategy.get_or_insert_with(|| ScoringStrategy {
            r#type: LEAST_ALLOCATED.to_owned(),
            ..ScoringStrategy::default()
        });
        if strategy.resources.is_empty() {
            strategy.resources = ResourceSpec::cpu_and_memory();
        }
        let resources = std::mem::take(&mut strategy.resources);
        strategy.resources = resources.into_iter().map(ResourceSpec::with_default_weight).collect();
        self
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        let root = Path::default();
        let mut errors = Errors::new();
        let names = root.child("ignoredResources");
        for (index, name) in self.ignored_resources.iter().enumerate() {
            errors.extend(label_name(&names.index(index), name));
        }
        let groups = root.child("ignoredResourceGroups");
        for (index, group) in self.ignored_resource_groups.iter().enumerate() {
            let path = groups.index(index);
            if group.contains('/') {
                errors.push(Error::invalid(&path, group, "resource group name can't contain '/'"));
            }
            errors.extend(label_name(&path, group));
        }
        if let Some(strategy) = &self.scoring_strategy {
            errors.extend(strategy.errors(&root.child("scoringStrategy")));
        }
        aggregate(&errors)
    }
}

fn label_name<'a>(path: &'a Path, name: &'a str) -> impl Iterator<Item = Error> + 'a {
    qualified_name::key(name).into_iter().map(move |why| Error::invalid(path, name, why))
}

impl ScoringStrategy {
    fn errors(&self, path: &Path) -> Errors {
        let mut errors = Errors::new();
        let known = [LEAST_ALLOCATED, MOST_ALLOCATED, REQUESTED_TO_CAPACITY_RATIO];
        if !known.contains(&self.r#type.as_str()) {
            errors.push(Error::not_supported(&path.child("type"), &self.r#type, &known));
        }
        errors.extend(validate_weights(&self.resources, &path.child("resources")));
        let ratio = path.child("requestedToCapacityRatio");
        match (&self.requested_to_capacity_ratio, self.r#type == REQUESTED_TO_CAPACITY_RATIO) {
            (Some(param), true) => errors.extend(validate_shape(&param.shape, &ratio.child("shape"))),
            (None, true) => {
                errors.push(Error::required(&ratio, "must be specified when type is RequestedToCapacityRatio"));
            }
            (Some(_), false) => {
                errors.push(Error::forbidden(&ratio, "must be nil when type is not RequestedToCapacityRatio"));
            }
            (None, false) => {}
        }
        errors
    }
}
