//! Which of a port's endpoints clients of this node get.

use std::net::SocketAddr;

use super::{super::ProxyNode, endpoints::Endpoint};

/// The endpoints for each policy, in order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Choice {
    /// For the policy `Cluster`; empty if it is not used.
    pub(super) cluster: Vec<SocketAddr>,
    /// For the policy `Local`; empty if it is not used.
    pub(super) local: Vec<SocketAddr>,
    /// Whether there is an endpoint anywhere.
    pub(super) any: bool,
}

/// Which policies a port has use for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uses {
    pub(super) cluster: bool,
    pub(super) local: bool,
}

/// Chooses for each policy by itself: the ready endpoints, and where there is none, those that terminate but still serve (KEP-1669).
/// Hints of topology hold for `Cluster` only.
pub(super) fn choose(endpoints: &[Endpoint<'_>], uses: Uses, node: &ProxyNode) -> Choice {
    let mut choice = Choice::default();
    if uses.cluster {
        let near = nearness(endpoints, node);
        choice.cluster = ready_or_last(endpoints, |endpoint| near.is_none_or(|near| near.holds(endpoint, node)));
        choice.any = !choice.cluster.is_empty();
    }
    if uses.local {
        choice.local = ready_or_last(endpoints, |endpoint| endpoint.local);
        choice.any |= endpoints.iter().any(|endpoint| endpoint.ready || endpoint.serves_until_the_end());
    }
    choice
}

fn ready_or_last(endpoints: &[Endpoint<'_>], wanted: impl Fn(&Endpoint<'_>) -> bool) -> Vec<SocketAddr> {
    let having = |fit: fn(&Endpoint<'_>) -> bool| -> Vec<SocketAddr> {
        endpoints.iter().filter(|endpoint| fit(endpoint) && wanted(endpoint)).map(|endpoint| endpoint.address).collect()
    };
    let ready = having(|endpoint| endpoint.ready);
    if ready.is_empty() { having(|endpoint| endpoint.serves_until_the_end()) } else { ready }
}

/// What hints are followed.
#[derive(Clone, Copy, Debug)]
enum Near {
    SameNode,
    SameZone,
}

impl Near {
    fn holds(self, endpoint: &Endpoint<'_>, node: &ProxyNode) -> bool {
        // Hints are of ready endpoints; what still serves while it terminates is taken wherever it is.
        !endpoint.ready || self.hinted(endpoint, node) == Some(true)
    }

    fn hinted(self, endpoint: &Endpoint<'_>, node: &ProxyNode) -> Option<bool> {
        match self {
            Self::SameNode => endpoint.for_node(&node.name),
            Self::SameZone => endpoint.for_zone(node.zone.as_deref()),
        }
    }
}

/// Hints are followed if every ready endpoint has one and at least one is for here: half of them would overload what they name.
fn nearness(endpoints: &[Endpoint<'_>], node: &ProxyNode) -> Option<Near> {
    [Near::SameNode, Near::SameZone].into_iter().find(|near| {
        let mut hints = endpoints.iter().filter(|endpoint| endpoint.ready).map(|endpoint| near.hinted(endpoint, node));
        let all_hinted = hints.clone().all(|hint| hint.is_some());
        all_hinted && hints.any(|hint| hint == Some(true))
    })
}
