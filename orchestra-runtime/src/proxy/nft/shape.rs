//! The chains that Services share.
//!
//! Kubernetes has a chain for each Service and each endpoint. The kernel takes minutes to load 100,000 chains, and most of a second to check them again whenever one
//! changes. So here a chain is for all Services with as many endpoints: it draws a number and finds the endpoint in a map, by front and number.

use super::{
    super::{Family, LocalTraffic},
    traffic::if_local,
};

/// The rule that marks a connection to be masqueraded when it leaves.
pub(super) const MARK: &str = "jump mark-for-masquerade";

/// One shared chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    /// Whether it is for node ports, which are found without an address.
    pub(super) node_port: bool,
    /// What it does.
    pub(super) kind: Kind,
}

/// What a shared chain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Goes to one of so many endpoints.
    Endpoints(usize),
    /// Goes to one of so many of this node's endpoints.
    LocalEndpoints(usize),
    /// Takes traffic from outside to one of so many endpoints.
    External(usize),
    /// Takes traffic from outside to one of `local` endpoints, and that of pods and the node to one of `cluster`.
    ExternalLocal { cluster: usize, local: usize },
}

impl Shape {
    /// The chain's name.
    pub(super) fn name(self) -> String {
        let scope = if self.node_port { "nodeport-" } else { "" };
        match self.kind {
            Kind::Endpoints(count) => format!("{scope}endpoints-{count}"),
            Kind::LocalEndpoints(count) => format!("{scope}local-endpoints-{count}"),
            Kind::External(count) => format!("{scope}external-{count}"),
            Kind::ExternalLocal { cluster, local } => format!("{scope}external-{cluster}-local-{local}"),
        }
    }

    /// The chains that it goes on to.
    pub(super) fn next(self) -> Vec<Self> {
        let of = |kind| Self { kind, ..self };
        match self.kind {
            Kind::Endpoints(_) | Kind::LocalEndpoints(_) => Vec::new(),
            Kind::External(count) => vec![of(Kind::Endpoints(count))],
            Kind::ExternalLocal { cluster, local: 0 } => vec![of(Kind::Endpoints(cluster))],
            Kind::ExternalLocal { cluster, local } => {
                vec![of(Kind::Endpoints(cluster)), of(Kind::LocalEndpoints(local))]
            }
        }
    }

    /// Its rules.
    pub(super) fn rules(self, family: Family, traffic: &LocalTraffic) -> Vec<String> {
        let next: Vec<String> = self.next().into_iter().map(Self::name).collect();
        match (self.kind, next.as_slice()) {
            (Kind::Endpoints(count), _) => self.draw(family, count, "endpoints"),
            (Kind::LocalEndpoints(count), _) => self.draw(family, count, "local-endpoints"),
            (Kind::External(_), [cluster, ..]) => external(cluster),
            (Kind::ExternalLocal { .. }, [cluster, local @ ..]) => {
                external_local(family, traffic, cluster, local.first().map(String::as_str))
            }
            (Kind::External(_) | Kind::ExternalLocal { .. }, []) => Vec::new(),
        }
    }

    /// Draws a number and goes to the endpoint that has it. nftables' language has no type for a drawn number, and its program (1.0) cannot
    /// add a rule that uses a map which is typed by example. So the number becomes the packet's priority, which has a type. Of a packet that
    /// is forwarded the kernel sets that anew; for others, `masquerading` sets it back to 0, what it is unless a program asks for more.
    fn draw(self, family: Family, count: usize, map: &str) -> Vec<String> {
        let (scope, address) =
            if self.node_port { ("nodeport", String::new()) } else { ("service", format!("{family} daddr . ")) };
        vec![
            format!("meta priority set numgen random mod {count}"),
            format!(
                "meta l4proto {{ tcp, udp, sctp }} dnat {family} addr . port to \
                 {address}meta l4proto . th dport . meta priority map @{scope}-{map}"
            ),
        ]
    }
}

/// Traffic from outside may end on another node, and its answer has to come back through this one.
pub(super) fn external(cluster: &str) -> Vec<String> {
    vec![MARK.to_owned(), format!("goto {cluster}")]
}

/// Traffic that stays on this node keeps its source. Neither pods nor the node itself are bound by the policy: their traffic goes to
/// any endpoint, as if it had been to the load balancer. The node's own would have the front as its source, so it is masqueraded.
pub(super) fn external_local(
    family: Family,
    traffic: &LocalTraffic,
    cluster: &str,
    local: Option<&str>,
) -> Vec<String> {
    let pods = if_local(family, traffic);
    let mut rules: Vec<String> =
        pods.into_iter().map(|pods| format!("{pods} goto {cluster} comment \"short-circuit pod traffic\"")).collect();
    rules.push(format!("fib saddr type local {MARK} comment \"masquerade local traffic\""));
    rules.push(format!("fib saddr type local goto {cluster} comment \"short-circuit local traffic\""));
    rules.extend(local.map(|local| format!("goto {local}")));
    rules
}
