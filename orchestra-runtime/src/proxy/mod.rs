//! kube-proxy: makes Services reachable on one node, with nftables.
//!
//! ```text
//!   Services, EndpointSlices, Node
//!        │ informers note what changed (pending)
//!        ▼ no oftener than the minimum period (pace)
//!      sync ──► rules: a pure function to values (RuleSet)
//!        │  └─► nft: the difference to what is in force (Applier) ──► nft -f -, one transaction
//!        │           ▲ monitor, and a look from time to time: has somebody else changed the tables?
//!        ├────► conntrack: UDP connections to endpoints that are gone are forgotten
//!        └────► health: load balancers' health checks, healthz
//! ```
//!
//! [`KubeProxy`] is all of it. [`RuleSet`] and [`Applier`] are of use by themselves. Needs Linux 5.13, nft 1.0.1, the program `conntrack` where
//! Services have UDP ports, and `CAP_NET_ADMIN`.

mod builder;
mod config;
mod conntrack;
mod family;
mod health;
mod kube_proxy;
mod monitor;
mod nft;
mod node;
mod pace;
mod pending;
mod protocol;
mod rules;
mod sync;

pub use self::{
    builder::KubeProxyBuilder,
    config::{LocalTraffic, NodePortAddresses, ProxyConfig},
    family::Family,
    kube_proxy::KubeProxy,
    nft::{Applier, Change, NftError, Program},
    node::ProxyNode,
    protocol::Protocol,
    rules::{
        Front, FrontRule, HealthCheck, Policy, PortKey, PortRules, RuleSet, SERVICE_NAME, ServiceRules, Target,
        service_of, service_rules,
    },
};
