//! kube-proxy: makes Services reachable on one node, with nftables.
//!
//! ```text
//!   Services, EndpointSlices, Node ──► rules: a pure function to values (RuleSet)
//!                                        │
//!                                        ▼
//!                                      nft: the difference to what is in force (Applier) ──► nft -f -, one transaction
//! ```

mod config;
mod family;
mod nft;
mod node;
mod protocol;
mod rules;

pub use self::{
    config::{LocalTraffic, NodePortAddresses, ProxyConfig},
    family::Family,
    nft::{Applier, Change, NftError, Program},
    node::ProxyNode,
    protocol::Protocol,
    rules::{
        Front, FrontRule, HealthCheck, Policy, PortKey, PortRules, RuleSet, SERVICE_NAME, ServiceRules, Target,
        service_of, service_rules,
    },
};
