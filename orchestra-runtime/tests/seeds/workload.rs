//! The deployments that a seed gives, and the bounds of their rollouts.

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::util::intstr::IntOrString,
};
use orchestra_core::random::Generator;
use serde_json::{Value, json};

use crate::world::{FULL, SOUND_IMAGES};

/// `maxSurge` and `maxUnavailable`.
const STRATEGIES: [(&str, &str); 10] = [
    ("1", "1"),
    ("25%", "25%"),
    ("1", "0"),
    ("0", "1"),
    ("100%", "0%"),
    ("0%", "100%"),
    ("30%", "50%"),
    ("2", "10%"),
    ("0", "34%"),
    ("3", "2"),
];

/// The most replicas that a deployment is scaled to.
pub(crate) const MOST_REPLICAS: u64 = 8;

/// What both deployments and the filler ask for.
fn template(name: &str, image: &str, cpu: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 3,
            "containers": [{"name": "main", "image": image, "resources": {"requests": {"cpu": cpu}}}],
        },
    })
}

/// A deployment whose strategy is the `choice`th.
pub(crate) fn rolling(name: &str, choice: u64, generator: &Generator) -> Deployment {
    let (surge, unavailable) = STRATEGIES[index(choice, STRATEGIES.len())];
    let value = |text: &str| text.parse().map_or_else(|_| json!(text), |number: i32| json!(number));
    let rolling = json!({"maxSurge": value(surge), "maxUnavailable": value(unavailable)});
    deployment(name, json!({"type": "RollingUpdate", "rollingUpdate": rolling}), generator)
}

/// A deployment that ends all of its pods before it starts others.
pub(crate) fn recreated(name: &str, generator: &Generator) -> Deployment {
    deployment(name, json!({"type": "Recreate"}), generator)
}

fn deployment(name: &str, strategy: Value, generator: &Generator) -> Deployment {
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": 1 + generator.below(MOST_REPLICAS),
            "minReadySeconds": if generator.below(3) == 0 { 2 } else { 0 },
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": {"app": name}},
            "strategy": strategy,
            "template": template(name, SOUND_IMAGES[0], "250m"),
        },
    });
    serde_json::from_value(object).expect("the object is a deployment")
}

/// A pod that takes all of the full node.
pub(crate) fn filler() -> Pod {
    let mut object = template("filler", SOUND_IMAGES[0], "1");
    object["metadata"]["name"] = json!("filler");
    object["spec"]["nodeName"] = json!(FULL);
    serde_json::from_value(object).expect("the object is a pod")
}

/// `choice` as an index of a list that is `length` long.
pub(crate) fn index(choice: u64, length: usize) -> usize {
    usize::try_from(choice).unwrap_or(0) % length
}

/// How many pods a deployment wants, and how far a rollout may go over and under that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) most: usize,
    pub(crate) least: usize,
}

impl Bounds {
    /// The bounds of a rolling deployment, by Kubernetes' documentation: surge rounds up, unavailable down, and one may be unavailable if
    /// otherwise nothing could move.
    pub(crate) fn of(deployment: &Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let rolling = spec.strategy.as_ref()?.rolling_update.as_ref()?;
        let replicas = usize::try_from(spec.replicas?).ok()?;
        let surge = amount(rolling.max_surge.as_ref()?, replicas, usize::div_ceil);
        let unavailable = amount(rolling.max_unavailable.as_ref()?, replicas, |dividend, divisor| dividend / divisor);
        let unavailable = if surge + unavailable == 0 { 1 } else { unavailable };
        Some(Self { most: replicas + surge, least: replicas.saturating_sub(unavailable) })
    }
}

fn amount(value: &IntOrString, replicas: usize, divide: fn(usize, usize) -> usize) -> usize {
    match value {
        IntOrString::Int(amount) => usize::try_from(*amount).unwrap_or(0),
        IntOrString::String(percent) => {
            let percent: usize = percent.trim_end_matches('%').parse().expect("a percentage");
            divide(percent * replicas, 100)
        }
    }
}
