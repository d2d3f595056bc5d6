//! The test kit: what a scheduler's tests need, in a line each.
//!
//! ```
//! use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
//!
//! let cluster = TestCluster::new().node(node("n1").cpu(4)).node(node("n2").cpu(8).taint("dedicated=gpu:NoSchedule"));
//! cluster.decide(&Framework::kubernetes(), pod("web").requests("500m", "1Gi")).assert_bound("n1");
//! ```

mod cluster;
mod conformance;
mod decision;
mod device;
mod live;
mod node;
mod pod;
pub mod strategies;
mod words;

pub use self::{
    cluster::{FileError, TestCluster},
    conformance::{Conformance, Rule, Violation},
    decision::Decision,
    device::{
        DeviceBuilder, DeviceClassBuilder, ResourceClaimBuilder, ResourceSliceBuilder, device, device_class,
        resource_claim, resource_slice,
    },
    live::LiveCluster,
    node::{NodeBuilder, node},
    pod::{PodBuilder, pod},
};
