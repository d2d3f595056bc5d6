//! How to write a scheduler, test it in milliseconds, and run it on a cluster.
//!
//! Say that pods are to be packed onto as few nodes as possible, so that the others can be switched off. Kubernetes' scheduler does the contrary: of the nodes on
//! which a pod fits it likes the emptier ones. This page changes that. The finished program is the example `custom_scheduler`.
//!
//! # 1. A plugin
//! What a pod *must* have should stay as it is: room, tolerated taints, its node selector. Only what it had *better* have is to change, so this is a plugin
//! that scores, beside Kubernetes' own ones:
//!
//! ```
//! use std::sync::Arc;
//! use orchestra_core::scheduler::{NodeInfo, PodInfo};
//! use orchestra_sched::framework::{CycleState, Framework, Plugin, Score, normalize};
//!
//! /// Likes a node the more the more pods are on it.
//! struct FullestNode;
//!
//! impl Plugin for FullestNode {
//!     fn name(&self) -> &'static str { "FullestNode" }
//!     fn as_score(&self) -> Option<&dyn Score> { Some(self) }
//! }
//!
//! impl Score for FullestNode {
//!     fn score(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 {
//!         node.pods().len() as i64
//!     }
//!
//!     fn normalize(&self, scores: &mut [i64]) {
//!         normalize(scores, false); // the fullest node has 100
//!     }
//! }
//!
//! fn packer() -> Framework {
//!     Framework::builder().default_plugins().enable(Arc::new(FullestNode), 100).build()
//! }
//! # assert!(packer().plugin_names().any(|name| name == "FullestNode"));
//! ```
//!
//! A plugin does no I/O and keeps no state between decisions; the same question has the same answer. What it needs to know of the pod and of all nodes it works out
//! once for a decision, in [`PreFilter`](crate::framework::PreFilter) or [`PreScore`](crate::framework::PreScore), and keeps in the
//! [`CycleState`](crate::framework::CycleState). The other extension points are at [`Plugin`](crate::framework::Plugin).
//!
//! # 2. Its test
//! Nodes and pods take a line each (feature `testing`, as a dev-dependency), and a decision takes microseconds:
//!
//! ```
//! # use std::sync::Arc;
//! # use orchestra_core::scheduler::{NodeInfo, PodInfo};
//! # use orchestra_sched::framework::{CycleState, Framework, Plugin, Score, normalize};
//! # struct FullestNode;
//! # impl Plugin for FullestNode {
//! #     fn name(&self) -> &'static str { "FullestNode" }
//! #     fn as_score(&self) -> Option<&dyn Score> { Some(self) }
//! # }
//! # impl Score for FullestNode {
//! #     fn score(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> i64 { node.pods().len() as i64 }
//! #     fn normalize(&self, scores: &mut [i64]) { normalize(scores, false); }
//! # }
//! # fn packer() -> Framework { Framework::builder().default_plugins().enable(Arc::new(FullestNode), 100).build() }
//! use orchestra_sched::testing::{Conformance, TestCluster, node, pod};
//!
//! let mut cluster = TestCluster::new().nodes([node("n1").cpu(2), node("n2").cpu(2)]).pod(pod("old").on("n2"));
//! cluster.place_all(&packer(), (0..3).map(|i| pod(format!("p{i}")).cpu(1)));
//! cluster.assert_on("p1", "n2");
//! cluster.assert_on("p2", "n1"); // n2 is full
//!
//! Conformance::new().cases(20).assert(&packer());
//! ```
//!
//! The last line is the [conformance suite](crate::testing::Conformance): random clusters and pods show that no node is over-committed, that no taint is
//! overlooked, that a pod that fits somewhere is sent somewhere, and that rejected pods are tried again when something changed for them.
//!
//! # 3. Why?
//! A failed assertion says what the scheduler thought. So does [`Framework::explain`](crate::framework::Framework::explain), for any pod and snapshot:
//!
//! ```text
//! pod default/web should go to n1, but goes to n2
//!
//! pod default/web: 2 of 3 nodes fit
//!
//! FITS   TOTAL   NodeResourcesFit x1   NodeResourcesBalancedAllocation x1   FullestNode x100
//! n2     10132   70                    62                                   10000 (raw 1)
//! n1     135     73                    62                                   0
//! equal to TaintToleration, NodeAffinity, PodTopologySpread, InterPodAffinity, ImageLocality
//!
//! AGAINST   PLUGIN             REASON             NODES
//! 1         NodeResourcesFit   Insufficient cpu   n3
//!
//! NODE   PODS    CPU      MEMORY   LABELS   TAINTS
//! n1     0/110   0/2      0/8Gi
//! n2     1/110   0/2      0/8Gi
//! n3     0/110   0/500m   0/8Gi
//! ```
//!
//! # 4. The loop
//! Back-offs, retries and bindings are the [driver](crate::driver)'s. A test runs it with paused time, so that minutes pass at once
//! ([`TestCluster::start`](crate::testing::TestCluster::start)):
//!
//! ```
//! # use std::sync::Arc;
//! # use orchestra_sched::{framework::Framework, testing::{TestCluster, node, pod}};
//! # fn packer() -> Framework { Framework::kubernetes() }
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! let cluster = TestCluster::new().node(node("n1").cpu(1)).pod(pod("large").cpu(4));
//! let live = cluster.start(Arc::new(packer()));
//! live.unschedulable("large").await;
//! live.add_node(node("n2").cpu(4));
//! assert_eq!(live.bound("large").await, "n2");
//! # live.stop().await;
//! # });
//! ```
//!
//! # 5. Is it better?
//! The `orchestra_sched::simulator` (feature `simulator`) lets a day of pods come and go with both schedulers, and compares utilisation, fragmentation and waiting
//! times; the example `simulate` draws them.
//!
//! # 6. On a cluster
//! In one process with everything else it is a line: `orchestra_runtime::Cluster::builder().scheduler(Arc::new(packer()))`. For any Kubernetes API server it is
//! [`SchedulerDriver`](crate::driver::SchedulerDriver) with a client of that:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use orchestra_core::{clock::SystemClock, event_recorder::EventRecorder, informer::InformerFactory, random::Generator};
//! # use orchestra_sched::{driver::SchedulerDriver, framework::Framework};
//! # fn packer() -> Framework { Framework::kubernetes() }
//! # async fn example(client: kube::Client, stop: tokio_util::sync::CancellationToken) {
//! let (informers, clock) = (InformerFactory::new(client.clone()), Arc::new(SystemClock));
//! let recorder = EventRecorder::reporting(client.clone(), "packer", "packer-0", clock.clone());
//! SchedulerDriver::new(client, informers, Arc::new(Framework::kubernetes()), recorder, clock, Generator::default())
//!     .with_scheduler("packer", Arc::new(packer())) // the pods with `schedulerName: packer`
//!     .run(stop)
//!     .await;
//! # }
//! ```
//!
//! # Without the framework
//! A scheduler need not be made of plugins: whatever implements [`Scheduler`](orchestra_core::scheduler::Scheduler) runs in the same loop, and has the same test
//! kit. It then has to heed taints, affinity and all the rest itself; the conformance suite tells what it forgot.
