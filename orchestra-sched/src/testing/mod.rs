//! The test kit: what a scheduler's tests need, in a line each.
//!
//! ```
//! use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
//!
//! let cluster = TestCluster::new().node(node("n1").cpu(4)).node(node("n2").cpu(8).taint("dedicated=gpu:NoSchedule"));
//! cluster.decide(&Framework::kubernetes(), pod("web").requests("500m", "1Gi")).assert_bound("n1");
//! ```

mod cluster;
mod decision;
mod node;
mod pod;
mod words;

pub use self::{
    cluster::{FileError, TestCluster},
    decision::Decision,
    node::{NodeBuilder, node},
    pod::{PodBuilder, pod},
};
