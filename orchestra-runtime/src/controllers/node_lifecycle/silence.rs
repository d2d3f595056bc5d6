//! How long nothing has been heard of a node. What counts is when news arrived here: the clocks of nodes may differ.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

/// How long a node may be silent: kube-controller-manager's `--node-monitor-grace-period`.
const GRACE: Duration = Duration::from_secs(50);
/// The same for a node that has posted no status yet: `--node-startup-grace-period`.
const STARTUP_GRACE: Duration = Duration::from_secs(60);

/// A sign of life; one counts if it is another than the last.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heartbeat {
    /// When the node renewed its lease.
    Lease(Option<Timestamp>),
    /// When it posted its status.
    Status(Option<Timestamp>),
}

#[derive(Debug)]
struct Heard {
    lease: Option<Timestamp>,
    status: Option<Timestamp>,
    at: Instant,
}

/// When each node was heard of last, by name.
#[derive(Debug, Default)]
pub(super) struct Silence {
    nodes: HashMap<String, Heard>,
}

impl Silence {
    /// Notes a sign of life. Of a node that is not known, only its own object is one: a lease may outlive it.
    pub(super) fn hear(&mut self, node: &str, heartbeat: Heartbeat, now: Instant) {
        match (self.nodes.get_mut(node), heartbeat) {
            (None, Heartbeat::Lease(_)) => {}
            (None, Heartbeat::Status(status)) => {
                self.nodes.insert(node.to_owned(), Heard { lease: None, status, at: now });
            }
            (Some(heard), heartbeat) => {
                let (last, new) = match heartbeat {
                    Heartbeat::Lease(new) => (&mut heard.lease, new),
                    Heartbeat::Status(new) => (&mut heard.status, new),
                };
                if *last != new {
                    *last = new;
                    heard.at = now;
                }
            }
        }
    }

    pub(super) fn forget(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// How long the node may go on being silent; zero if it has been so for too long.
    pub(super) fn left(&self, node: &str, has_posted: bool, now: Instant) -> Duration {
        let grace = if has_posted { GRACE } else { STARTUP_GRACE };
        let silent = self.nodes.get(node).map_or(Duration::ZERO, |heard| now.saturating_duration_since(heard.at));
        grace.saturating_sub(silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_breaks_the_silence() {
        let at = |second: u64| Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        let start = Instant::now();
        let then = |second: u64| start + Duration::from_secs(second);
        let mut silence = Silence::default();
        let left = |silence: &Silence, second: u64| silence.left("n1", true, then(second)).as_secs();
        // Before the node itself is known, its lease says nothing.
        silence.hear("n1", Heartbeat::Lease(Some(at(0))), then(0));
        assert_eq!(left(&silence, 99), 50);
        silence.hear("n1", Heartbeat::Status(Some(at(0))), then(10));
        silence.hear("n1", Heartbeat::Lease(Some(at(0))), then(20));
        assert_eq!(left(&silence, 30), 40);
        silence.hear("n1", Heartbeat::Lease(Some(at(0))), then(40));
        silence.hear("n1", Heartbeat::Status(Some(at(0))), then(40));
        assert_eq!((left(&silence, 69), left(&silence, 70), left(&silence, 80)), (1, 0, 0));
        // By a node's clock that is behind, too.
        silence.hear("n1", Heartbeat::Lease(Some(at(10))), then(75));
        assert_eq!(left(&silence, 80), 45);
        assert_eq!(silence.left("n1", false, then(80)).as_secs(), 55);
    }
}
