//! Real containerd for tests: a machine of its own for each test, and on it containerd with a network and images that were made by hand.
//!
//! ```ignore
//! #[path = "containerd/mod.rs"] // from another folder: "../containerd/mod.rs"
//! mod containerd;
//!
//! #[test]
//! fn a_container_runs() {
//!     containerd::on_a_node(async |node| {
//!         let runtime = CriRuntime::connect(node.socket());
//!         // containerd::image::{FOREVER, EXIT_7, STUBBORN, LINES, BUSYBOX, ...} are there without pulling.
//!     });
//! }
//! ```
//! [`on_a_node`] runs the test again in a process of its own, in namespaces of its own: network, mounts, processes, IPC, host name, cgroups. So all
//! paths are the usual ones (`/run/containerd/containerd.sock`, `/var/lib/kubelet`, `/var/log/pods`, `/etc/cni/net.d`), every port is free, and all
//! of it, whatever the test did, goes when the test ends, also if it panics or is killed.
//!
//! Such a test must run as root, on Linux with containerd, runc, the CNI plugins, busybox-static and iproute2 installed; it fails where they are
//! missing. Its target has `required-features = ["containerd"]`.
//!
//! Images that are to be pulled come from a [`Registry`](registry::Registry) on the loopback device:
//! `Registry::start().await` serves all images of [`image`] as `registry.test/NAME`, and fails in the ways that it is told to.

#![allow(dead_code)] // not every test uses all of it

mod daemon;
pub(crate) mod image;
mod isolation;
pub(crate) mod leftovers;
/// The example `nodes` has machines of the same kind.
#[path = "../../../examples/src/machine/mod.rs"]
#[allow(unreachable_pub, reason = "it is a public part of the examples")]
mod machine;
pub(crate) mod registry;

#[allow(unused_imports)] // not every test uses all of it
pub(crate) use self::{
    daemon::Containerd,
    isolation::{beside_systemd, on_a_node},
};
