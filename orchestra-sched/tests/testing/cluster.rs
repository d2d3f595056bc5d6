//! Decisions and sequences of them.

use orchestra_core::scheduler::{Placement, PodInfo, ScheduleError, Scheduler, Snapshot};
use orchestra_sched::{
    framework::Framework,
    testing::{TestCluster, node, pod},
};

#[test]
fn a_decision_changes_nothing() {
    let cluster = TestCluster::new().node(node("n1").cpu(1));
    for _ in 0..2 {
        cluster.decide(&Framework::kubernetes(), pod("p").cpu(1)).assert_bound("n1");
    }
    assert_eq!(cluster.snapshot().get("n1").unwrap().pods().len(), 0);
}

#[test]
fn a_placed_pod_takes_room() {
    let mut cluster = TestCluster::new().node(node("n1").cpu(2));
    let scheduler = Framework::kubernetes();
    let decisions = cluster.place_all(&scheduler, (0..3).map(|i| pod(format!("p{i}")).cpu(1)));
    decisions[1].assert_bound("n1");
    decisions[2].assert_unschedulable("Insufficient cpu");
    assert_eq!((cluster.node_of("p0"), cluster.node_of("p2")), (Some("n1"), None));
    cluster.assert_not_overcommitted();

    cluster.remove_pod("p0");
    cluster.place_pending(&scheduler)[0].assert_bound("n1");
    cluster.assert_nothing_pending();
}

#[test]
fn a_pod_that_is_asked_about_again_does_not_stand_in_its_own_way() {
    let cluster = TestCluster::new().node(node("n1").cpu(1)).pod(pod("p").cpu(1).on("n1"));
    cluster.decide(&Framework::kubernetes(), pod("p").cpu(1)).assert_bound("n1");
}

#[test]
fn pending_pods_go_by_priority_and_gated_ones_do_not_go() {
    let cluster = TestCluster::new().pods([pod("a"), pod("b").priority(1), pod("c")]).pod(pod("gated").with(|pod| {
        let gates = serde_json::from_value(serde_json::json!([{ "name": "g" }])).unwrap();
        pod.spec.as_mut().unwrap().scheduling_gates = gates;
    }));
    let names: Vec<_> = cluster.pending().iter().map(|pod| pod.key().name().to_owned()).collect();
    assert_eq!(names, ["b", "a", "c"]);
}

#[test]
fn a_pod_that_has_ended_takes_no_room() {
    let ended = pod("p").cpu(1).on("n1").with(|pod| {
        pod.status.get_or_insert_default().phase = Some("Succeeded".to_owned());
    });
    let cluster = TestCluster::new().node(node("n1").cpu(1)).pod(ended);
    cluster.decide(&Framework::kubernetes(), pod("q").cpu(1)).assert_bound("n1");
}

#[test]
fn the_seed_breaks_ties() {
    let chosen = |seed| {
        let cluster = TestCluster::new().nodes((0..8).map(|i| node(format!("n{i}")))).seed(seed);
        cluster.decide(&Framework::kubernetes(), pod("p")).node().map(str::to_owned)
    };
    assert_eq!(chosen(1), chosen(1));
    assert!((0..50).any(|seed| chosen(seed) != chosen(1)));
}

#[test]
fn spread_pods_are_spread_and_packed_ones_packed() {
    let nodes = ["a", "b", "c"].map(|zone| node(format!("n-{zone}")).zone(zone));
    let mut cluster = TestCluster::new().nodes(nodes);
    let web = |i| pod(format!("web-{i}")).label("app", "web").spread(1, "topology.kubernetes.io/zone", "app=web");
    cluster.place_all(&Framework::kubernetes(), (0..7).map(web));
    cluster.assert_spread("app=web", "topology.kubernetes.io/zone", 1);
    cluster.assert_packed("", 3);
}

/// Sends everything to a node that is not there.
struct Lost;

impl Scheduler for Lost {
    fn schedule(&self, _: &PodInfo, _: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        Ok(Placement::on("nowhere"))
    }
}

#[test]
fn a_node_that_is_not_there_takes_no_pod() {
    let mut cluster = TestCluster::new().node(node("n1"));
    let message = cluster.place(&Lost, pod("p")).message();
    assert_eq!(message.as_deref(), Some("node \"nowhere\" was chosen, which is not there"));
    assert_eq!(cluster.node_of("p"), None);
}
