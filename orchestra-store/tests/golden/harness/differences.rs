//! Where our answers differ from the recorded ones, and why that is right.

use std::ops::RangeInclusive;

/// A difference that is right.
pub(crate) struct Allowed {
    pub(crate) scenario: &'static str,
    pub(crate) steps: RangeInclusive<u32>,
    /// The field, `*` for any part of a path; what lies below is covered too.
    pub(crate) path: &'static str,
    /// Why our answer is right nevertheless.
    #[expect(dead_code, reason = "for the reader")]
    pub(crate) why: &'static str,
}

/// Steps of kinds that later issues bring.
pub(crate) const NOT_REPLAYED: &[(&str, RangeInclusive<u32>, &str)] = &[
    ("05-lists", 58..=61, NOT_BUILT),
    ("05-lists", 63..=63, NOT_BUILT),
    ("05-lists", 68..=68, NOT_BUILT),
    ("05-lists", 70..=71, NOT_BUILT),
];

const NOT_BUILT: &str = "batch, autoscaling and other kinds are not built yet";
const NO_ROLES: &str = "no roles come with the server";
const CONTROLLER: &str =
    "no controller or scheduler runs beside the plain API server; theirs are compared in orchestra-runtime";
const DRAWN: &str = "drawn at random";
const VENDOR: &str = "the recorded build has a vendor's certificate in each pod";
const TTL: &str = "no controller tells kubelets how long to keep secrets: they watch them";
const HOST: &str = "it names the host";
const PLUGIN: &str = "affinity between pods, spreading and volumes come with the complete scheduler";
const TAINTS: &str = "Kubernetes tries all pods again when a node's taints change (as a cordon does) that were rejected by plugins which hear of \
     new nodes but not of taints: a workaround (kubernetes#109437) that cannot help any of these, and is to go";

/// The differences.
pub(crate) const ALLOWED: &[Allowed] = &[
    allow("03-patch", 4..=23, "body.metadata.annotations", CONTROLLER),
    allow("03-patch", 4..=22, "body.status", CONTROLLER),
    allow("03-patch", 23..=23, "body.status.observedGeneration", CONTROLLER),
    allow("03-patch", 23..=23, "body.status.terminatingReplicas", CONTROLLER),
    allow("05-lists", 42..=43, "body.spec.volumes[0].projected.sources[3]", VENDOR),
    allow("05-lists", 44..=44, "list.rows[golden/t1].object.metadata.resourceVersion", CONTROLLER),
    allow("05-lists", 49..=49, "list.rows[default/kubernetes].cells[2]", "another network of services"),
    allow("05-lists", 51..=51, "list.rows", CONTROLLER),
    allow("05-lists", 52..=52, "list.rows[golden/p1].object.metadata.annotations", CONTROLLER),
    allow("05-lists", 53..=53, "list.rows", CONTROLLER),
    allow(
        "05-lists",
        54..=54,
        "list.rows",
        "the recorded server tells others of its identity; there are no others here",
    ),
    allow("05-lists", 56..=56, "list.rows", NO_ROLES),
    allow("05-lists", 56..=56, "list.metadata", NO_ROLES),
    allow("06-watch", 17..=17, "events[*].object.metadata.resourceVersion", CONTROLLER),
    allow(
        "06-watch",
        21..=21,
        "events",
        "the recorded etcd is too old for streaming lists; ours are those of the documentation (KEP-3157)",
    ),
    allow("07-pods", 1..=29, "body.spec.volumes[0].projected.sources[3]", VENDOR),
    allow("07-pods", 16..=18, "body.status.conditions", CONTROLLER),
    allow("08-rollout", 3..=3, "body.metadata.annotations", TTL),
    allow("08-rollout", 1..=88, "*.spec.volumes[0].projected.sources[3]", VENDOR),
    allow("08-rollout", 1..=88, "*.reportingInstance", HOST),
    allow("09-scheduling", 11..=12, "list.items[roll/anti*", PLUGIN),
    allow("09-scheduling", 11..=12, "list.items[roll/pvc*", PLUGIN),
    allow("09-scheduling", 11..=12, "list.items[roll/spread*", PLUGIN),
    allow("09-scheduling", 17..=17, "list.items[roll/anti*", PLUGIN),
    allow("09-scheduling", 17..=17, "list.items[roll/pvc*", PLUGIN),
    allow("09-scheduling", 17..=17, "list.items[roll/spread*", PLUGIN),
    allow("09-scheduling", 12..=17, "*.reportingInstance", HOST),
    allow("09-scheduling", 13..=18, "body.metadata.annotations", TTL),
    allow("09-scheduling", 17..=17, "list.items[roll/toolarge*", TAINTS),
    allow("09-scheduling", 17..=17, "list.items[roll/selector*", TAINTS),
    allow("09-scheduling", 17..=17, "list.items[roll/port2*", TAINTS),
    allow("11-services", 1..=19, "body.spec.clusterIPs[0]", DRAWN),
    allow("11-services", 1..=19, "body.spec.ports[0].nodePort", DRAWN),
    allow("11-services", 4..=4, "body.spec.healthCheckNodePort", DRAWN),
    allow("11-services", 16..=16, "list.rows[*].cells[2]", DRAWN),
    allow("11-services", 16..=16, "list.rows[*].cells[4]", DRAWN),
    allow("07-pods", 23..=23, "list.rows[golden/t1].object.metadata.resourceVersion", CONTROLLER),
];

const fn allow(scenario: &'static str, steps: RangeInclusive<u32>, path: &'static str, why: &'static str) -> Allowed {
    Allowed { scenario, steps, path, why }
}
