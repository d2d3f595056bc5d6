//! Probes: whether containers come up, work and can serve, found out by asking them.
//!
//! ```text
//!   sync ──► plan: which probes run, and when each is due ──► prober: the one future that runs what is due
//!    ▲                                                            │  check: exec | http | tcp | grpc
//!    └── verdict, after as many results in a row as asked for ────┘
//! ```
//!
//! What is to be probed follows from what is known of a pod ([`crate::kubelet::pod::health`]); nothing here costs anything as long as
//! there are no probes to run.

mod address;
mod check;
mod exec;
mod grpc;
mod head;
mod http;
mod plan;
mod prober;
mod tally;
mod tcp;
#[cfg(test)]
mod tests;

pub(super) use self::{
    address::Address,
    http::{NOT_TLS, authority, get},
    plan::Wanted,
    prober::{News, Prober},
};

/// How Kubernetes names the caller: its purpose, and whose version it is.
fn user_agent(purpose: &str) -> String {
    format!("kube-{purpose}/1.36")
}
