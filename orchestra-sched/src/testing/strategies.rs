//! Random clusters and pods for property tests (proptest).
//!
//! Names, labels and taints are few, so that pods and nodes have to do with each other; amounts are such that some pods fit and some do not.
//!
//! ```
//! use orchestra_sched::{framework::Framework, testing::strategies};
//! use proptest::prelude::*;
//!
//! proptest!(|(cluster in strategies::clusters(1..6, 0..10), pods in strategies::pods(1..5))| {
//!     let mut cluster = cluster;
//!     cluster.place_all(&Framework::kubernetes(), pods);
//!     cluster.assert_not_overcommitted();
//! });
//! ```

use proptest::{collection::SizeRange, prelude::*, sample::subsequence};

use super::{NodeBuilder, PodBuilder, TestCluster, node, pod};

/// The label key of zones in these clusters; its values are `a`, `b` and `c`.
pub const ZONE: &str = "topology.kubernetes.io/zone";
const DISKS: [&str; 2] = ["ssd", "hdd"];
const TAINTS: [&str; 4] =
    ["dedicated=gpu:NoSchedule", "dedicated=db:NoSchedule", "maintenance:NoExecute", "spot=yes:PreferNoSchedule"];
const TOLERATIONS: [&str; 4] = ["dedicated=gpu", "dedicated", "maintenance:NoExecute", "spot=yes:PreferNoSchedule"];
const APPS: [&str; 3] = ["web", "db", "batch"];

/// A node with any of the things that nodes have: 1 to 8 CPUs and GiB, room for 1 to 12 pods, devices `example.com/gpu`, labels
/// `disk` and [`ZONE`], taints, a cordon.
pub fn nodes_named(name: impl Into<String>) -> impl Strategy<Value = NodeBuilder> {
    let name = name.into();
    let size = (1..=8_u32, 1..=8_u32, 1..=12_u32, 0..=2_u32);
    let labels = (prop::option::weighted(0.8, 0..3_usize), prop::option::weighted(0.8, 0..2_usize));
    let taints = prop_oneof![3 => Just(Vec::new()), 1 => subsequence(TAINTS.to_vec(), 1..=2)];
    (size, labels, taints, prop::bool::weighted(0.1)).prop_map(move |(size, (zone, disk), taints, cordoned)| {
        let (cpu, memory, pods, gpus) = size;
        let mut node = node(name.as_str()).cpu(cpu).memory(format!("{memory}Gi")).pods(pods);
        if gpus > 0 {
            node = node.resource("example.com/gpu", gpus);
        }
        if let Some(zone) = zone {
            node = node.zone(["a", "b", "c"][zone]);
        }
        if let Some(disk) = disk {
            node = node.label("disk", DISKS[disk]);
        }
        node = taints.into_iter().fold(node, NodeBuilder::taint);
        if cordoned { node.cordoned() } else { node }
    })
}

/// So many nodes, called `n0`, `n1` and so on.
pub fn nodes(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<NodeBuilder>> {
    prop::collection::vec(nodes_named(""), count).prop_map(|nodes| {
        let name = |(i, node): (usize, NodeBuilder)| {
            let name = format!("n{i}");
            node.label("kubernetes.io/hostname", name.as_str()).with(|node| node.metadata.name = Some(name))
        };
        nodes.into_iter().enumerate().map(name).collect()
    })
}

/// A pod that waits for a node, with any of the things that pods say about nodes: requests, node selectors and affinity, tolerations,
/// ports of the node, spread over zones, affinity and anti-affinity, priority.
pub fn pods_named(name: impl Into<String>) -> impl Strategy<Value = PodBuilder> {
    beside_others(at_some_nodes(of_some_size(name.into())))
}

fn of_some_size(name: String) -> impl Strategy<Value = PodBuilder> {
    let requests = (0..=8_u32, 0..=8_u32, prop::bool::weighted(0.1));
    let rest = (prop::option::weighted(0.15, 8080..8082_i32), 0..3_i32, 0..3_usize);
    (requests, rest).prop_map(move |((cpu, memory, gpu), (port, priority, app))| {
        let mut pod = pod(name.as_str()).label("app", APPS[app]).priority(priority);
        if cpu + memory > 0 {
            pod = pod.requests(format!("{}m", cpu * 250), format!("{}Mi", memory * 256));
        }
        if gpu {
            pod = pod.request("example.com/gpu", 1);
        }
        port.into_iter().fold(pod, PodBuilder::host_port)
    })
}

/// Adds what they say about nodes.
fn at_some_nodes(pods: impl Strategy<Value = PodBuilder>) -> impl Strategy<Value = PodBuilder> {
    let zones = subsequence(vec!["a", "b", "c"], 1..=2);
    let must = (prop::option::weighted(0.15, 0..2_usize), prop::option::weighted(0.15, zones));
    let may = (prop::option::weighted(0.3, 1..=100_i32), subsequence(TOLERATIONS.to_vec(), 0..=2));
    (pods, must, may).prop_map(|(mut pod, (disk, zones), (wish, tolerations))| {
        if let Some(disk) = disk {
            pod = pod.node_selector("disk", DISKS[disk]);
        }
        if let Some(zones) = zones {
            pod = pod.require(&format!("{ZONE} in ({})", zones.join(",")));
        }
        if let Some(weight) = wish {
            pod = pod.prefer(weight, "disk=ssd");
        }
        tolerations.into_iter().fold(pod, PodBuilder::tolerate)
    })
}

/// Adds what they say about other pods.
fn beside_others(pods: impl Strategy<Value = PodBuilder>) -> impl Strategy<Value = PodBuilder> {
    let apart = prop::option::weighted(0.15, (0..3_usize, prop::sample::select(vec![ZONE, "kubernetes.io/hostname"])));
    let others = (prop::option::weighted(0.2, 1..=2_i32), prop::option::weighted(0.1, 0..3_usize), apart);
    (pods, 0..3_usize, others).prop_map(|(mut pod, app, (skew, near, apart))| {
        if let Some(skew) = skew {
            pod = pod.spread(skew, ZONE, &format!("app={}", APPS[app]));
        }
        if let Some(app) = near {
            pod = pod.affinity(&format!("app={}", APPS[app]), ZONE);
        }
        if let Some((app, key)) = apart {
            pod = pod.anti_affinity(&format!("app={}", APPS[app]), key);
        }
        pod
    })
}

/// So many pods that wait for nodes, called `p0`, `p1` and so on.
pub fn pods(count: impl Into<SizeRange>) -> impl Strategy<Value = Vec<PodBuilder>> {
    prop::collection::vec(pods_named(""), count).prop_map(|pods| {
        let name = |(i, pod): (usize, PodBuilder)| pod.with(|pod| pod.metadata.name = Some(format!("p{i}")));
        pods.into_iter().enumerate().map(name).collect()
    })
}

/// A cluster of so many nodes, on which at most so many pods (`old-0`, `old-1` and so on) run: those that have room on the node that chance sends them
/// to, whatever else they say about nodes.
pub fn clusters(nodes: impl Into<SizeRange>, pods: impl Into<SizeRange>) -> impl Strategy<Value = TestCluster> {
    let pods = prop::collection::vec((pods_named(""), any::<prop::sample::Index>()), pods);
    (self::nodes(nodes), pods).prop_map(|(nodes, pods)| {
        let mut cluster = TestCluster::new().nodes(nodes);
        for (i, (pod, index)) in pods.into_iter().enumerate() {
            let snapshot = cluster.snapshot();
            if snapshot.is_empty() {
                break;
            }
            let Some(node) = snapshot.iter().nth(index.index(snapshot.len())) else { continue };
            let pod = pod.with(|pod| pod.metadata.name = Some(format!("old-{i}"))).on(&**node.name());
            let mut crowded = node.requested().clone();
            crowded.add(pod.clone().info().requests());
            crowded.pods += 1;
            crowded.raise_to(node.allocatable());
            if crowded == *node.allocatable() {
                cluster.add_pod(pod);
            }
        }
        cluster
    })
}
