//! How fast nodes may be emptied. When many go silent at once, the fault is rather between them and the API server, and evicting
//! their pods would do harm only.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Node;
use tokio::time::Instant;

use super::{conditions::Readiness, taints};

/// The time between two nodes of a zone: kube-controller-manager's `--node-eviction-rate` of 0.1 a second.
const INTERVAL: Duration = Duration::from_secs(10);
/// The same where more than [`UNHEALTHY`] of the zone is not ready (`--secondary-node-eviction-rate`) ...
const SECONDARY_INTERVAL: Duration = Duration::from_secs(100);
/// ... of a zone of more nodes than this (`--large-cluster-size-threshold`). Smaller ones are left alone then.
const LARGE: usize = 50;
/// The part of a zone, in percent, that must fail before it is taken for a disruption (`--unhealthy-zone-threshold`).
const UNHEALTHY: usize = 55;
/// So few nodes are no disruption.
const FEW: usize = 2;

/// Nodes with this label do not count.
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";

/// Whether a node that is not ready may have its pods evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No.
    Spare,
    /// Yes, now.
    Evict,
    /// Not yet. What has begun goes on.
    Wait,
}

#[derive(Debug, Default)]
struct Zone {
    ready: usize,
    not_ready: usize,
}

impl Zone {
    fn size(&self) -> usize {
        self.ready + self.not_ready
    }

    fn is_down(&self) -> bool {
        self.ready == 0 && self.not_ready > 0
    }

    /// The time between two evictions; none if there are to be none.
    fn interval(&self) -> Option<Duration> {
        let disrupted = !self.is_down() && self.not_ready > FEW && self.not_ready * 100 >= self.size() * UNHEALTHY;
        match disrupted {
            false => Some(INTERVAL),
            true => (self.size() > LARGE).then_some(SECONDARY_INTERVAL),
        }
    }
}

/// When a node of each zone was last given up.
#[derive(Debug, Default)]
pub(super) struct Pace {
    last: BTreeMap<String, Instant>,
}

impl Pace {
    /// Judges a node that is not ready. The next one of its zone waits if this one is given up.
    pub(super) fn judge(&mut self, node: &Node, nodes: &[Arc<Node>], now: Instant) -> Verdict {
        let zones = survey(nodes);
        if !zones.is_empty() && zones.values().all(Zone::is_down) {
            return Verdict::Spare;
        }
        if taints::has_no_execute(node) {
            return Verdict::Wait;
        }
        let zone = zone(node);
        let interval = zones.get(&zone).map_or(Some(INTERVAL), Zone::interval);
        let waited = |interval| self.last.get(&zone).is_none_or(|last| now.duration_since(*last) >= interval);
        if !interval.is_some_and(waited) {
            return Verdict::Wait;
        }
        self.last.insert(zone, now);
        Verdict::Evict
    }
}

fn survey(nodes: &[Arc<Node>]) -> BTreeMap<String, Zone> {
    let mut zones = BTreeMap::<String, Zone>::new();
    for node in nodes {
        let labels = node.metadata.labels.as_ref();
        let Some(readiness) = Readiness::of(node).filter(|_| !labels.is_some_and(|l| l.contains_key(EXCLUDED))) else {
            continue;
        };
        let zone = zones.entry(zone(node)).or_default();
        match readiness {
            Readiness::Ready => zone.ready += 1,
            Readiness::NotReady | Readiness::Unknown => zone.not_ready += 1,
        }
    }
    zones
}

/// Region and zone.
fn zone(node: &Node) -> String {
    let label =
        |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map_or("", String::as_str);
    format!("{}:{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

#[cfg(test)]
mod tests {
    use orchestra_core::well_known_taints::UNREACHABLE;
    use serde_json::json;

    use super::*;

    fn nodes(zone: &str, ready: usize, unknown: usize) -> Vec<Arc<Node>> {
        let node = |status: &str| {
            let labels = json!({"topology.kubernetes.io/zone": zone});
            let conditions = json!([{"type": "Ready", "status": status}]);
            let node = json!({"metadata": {"labels": labels}, "status": {"conditions": conditions}});
            Arc::new(serde_json::from_value(node).unwrap())
        };
        let unknown = (0..unknown).map(|_| node("Unknown"));
        unknown.chain((0..ready).map(|_| node("True"))).collect()
    }

    /// The verdicts on the first node of `nodes` when another of its zone was given up so many seconds ago.
    fn verdicts<const N: usize>(nodes: &[Arc<Node>], seconds: [u64; N]) -> [Verdict; N] {
        let start = Instant::now();
        seconds.map(|seconds| {
            let mut pace = Pace { last: [(zone(&nodes[0]), start)].into() };
            pace.judge(&nodes[0], nodes, start + Duration::from_secs(seconds))
        })
    }

    use Verdict::{Evict, Spare, Wait};

    #[test]
    fn nodes_are_given_up_one_after_the_other() {
        assert_eq!(verdicts(&nodes("a", 2, 2), [0, 9, 10]), [Wait, Wait, Evict]);
        let (nodes, mut pace, now) = (nodes("a", 1, 2), Pace::default(), Instant::now());
        assert_eq!([0, 1].map(|i| pace.judge(&nodes[i], &nodes, now)), [Evict, Wait]);
    }

    #[test]
    fn where_most_of_a_zone_fails_a_large_one_is_emptied_slowly_and_a_small_one_not() {
        assert_eq!(verdicts(&nodes("a", 2, 3), [10, 100, 1000]), [Wait; 3]);
        assert_eq!(verdicts(&nodes("a", 20, 40), [10, 99, 100]), [Wait, Wait, Evict]);
        assert_eq!(verdicts(&nodes("a", 30, 30), [10]), [Evict]);
    }

    #[test]
    fn a_zone_that_fails_as_a_whole_is_emptied_unless_all_do() {
        let (down, up) = (nodes("a", 0, 5), nodes("b", 1, 0));
        assert_eq!(verdicts(&[down.clone(), up].concat(), [9, 10]), [Wait, Evict]);
        assert_eq!(verdicts(&[down, nodes("b", 0, 1)].concat(), [10, 1000]), [Spare, Spare]);
    }

    #[test]
    fn what_has_begun_goes_on() {
        let mut nodes = nodes("a", 1, 1);
        let taints = json!([{"key": UNREACHABLE, "effect": "NoExecute"}]);
        let node = Arc::make_mut(&mut nodes[0]);
        node.spec = serde_json::from_value(json!({"taints": taints})).unwrap();
        assert_eq!(verdicts(&nodes, [0, 10]), [Wait, Wait]);
    }
}
