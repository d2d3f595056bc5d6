//! kube-proxy's rules with real packets: a node, its pods and a client outside, each a network namespace of its own. Needs root, nftables and iproute2.

#![allow(clippy::unwrap_used)]

mod affinity;
mod namespace;
mod policy;
mod reach;
mod refusal;
mod repair;
mod running;
mod sctp;
mod sctp_sockets;
mod server;
mod storm;
mod world;
