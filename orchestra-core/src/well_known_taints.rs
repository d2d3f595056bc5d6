//! The keys of the taints that Kubernetes itself puts on nodes (`k8s.io/api/core/v1/well_known_taints.go`).

/// The node's condition `Ready` is `False`, or was not looked at yet.
pub const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Nothing is heard of the node.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// The node is cordoned.
pub const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// The node is short of memory.
pub const MEMORY_PRESSURE: &str = "node.kubernetes.io/memory-pressure";
/// The node is short of disk.
pub const DISK_PRESSURE: &str = "node.kubernetes.io/disk-pressure";
/// The node is short of process ids.
pub const PID_PRESSURE: &str = "node.kubernetes.io/pid-pressure";
/// The node's network is not set up.
pub const NETWORK_UNAVAILABLE: &str = "node.kubernetes.io/network-unavailable";
/// An administrator says that the node is off for good.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
