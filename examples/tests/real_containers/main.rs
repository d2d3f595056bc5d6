//! The programs and kubectl with real containers: this machine, in namespaces of a test's own, is the node.
//!
//! They need root, containerd, runc, the CNI plugins, nftables, conntrack, busybox-static and kubectl, and fail without.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "../../../orchestra-runtime/tests/containerd/mod.rs"]
mod containerd;
#[path = "../kubectl/harness.rs"]
#[allow(dead_code, reason = "the other tests of kubectl use more of it")]
mod harness;
mod machine;
#[path = "../programs/program.rs"]
#[allow(dead_code, reason = "the other tests of programs use more of it")]
mod program;
mod program_in_pod;
mod quickstart;
mod resize;
mod session;
mod standalone;
mod traffic;
mod udp;
