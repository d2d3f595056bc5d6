//! What failed assertions say.

use std::panic::{AssertUnwindSafe, catch_unwind};

use orchestra_core::scheduler::{Diagnosis, Placement, PodInfo, Rejection, ScheduleError, Scheduler, Snapshot};
use orchestra_sched::{
    framework::Framework,
    testing::{TestCluster, node, pod},
};

/// The message with which `assert` fails.
fn failure(assert: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assert)).expect_err("the assertion should fail");
    panic.downcast_ref::<String>().cloned().unwrap()
}

fn cluster() -> TestCluster {
    TestCluster::new()
        .node(node("n1").cpu(4).zone("a"))
        .node(node("n2").cpu(1).zone("b").taint("k=v:NoSchedule").cordoned())
        .pod(pod("old").requests(1, "1Gi").label("app", "old").on("n1"))
}

#[test]
fn a_pod_that_goes_elsewhere_shows_the_scores_and_the_nodes() {
    let (cluster, scheduler) = (cluster(), Framework::kubernetes());
    let decision = cluster.decide(&scheduler, pod("p").cpu(1));
    let text = failure(|| _ = decision.assert_bound("n2"));
    assert!(text.starts_with("pod default/p should go to n2, but goes to n1\n\n"), "{text}");
    assert!(text.contains("pod default/p: 1 of 2 nodes fit\n"), "{text}");
    assert!(text.contains("1         TaintToleration     node(s) had untolerated taint(s)   n2\n"), "{text}");
    assert!(text.contains("\nNODE   PODS    CPU   MEMORY    LABELS"), "{text}");
    assert!(text.contains("\nn1     1/110   1/4   1Gi/8Gi   topology.kubernetes.io/zone=a\n"), "{text}");
    assert!(text.contains("k=v:NoSchedule,(cordoned)\n"), "{text}");
    assert!(failure(|| _ = decision.assert_bound_to_any(&["n2", "n3"])).contains("should go to n2 or n3, but"));
}

#[test]
fn a_pod_that_should_be_unschedulable_says_what_it_is_instead() {
    let (cluster, scheduler) = (cluster(), Framework::kubernetes());
    let fits = cluster.decide(&scheduler, pod("p"));
    let text = failure(|| _ = fits.assert_unschedulable("Insufficient cpu"));
    assert!(
        text.starts_with("pod default/p should be unschedulable because of \"Insufficient cpu\", but goes to n1\n")
    );

    let large = cluster.decide(&scheduler, pod("p").cpu(9));
    let text = failure(|| _ = large.assert_unschedulable("Insufficient memory"));
    assert!(text.contains("but the message is: 0/2 nodes are available: 1 Insufficient cpu, 1 node(s)"), "{text}");
    let text = failure(|| _ = large.assert_rejected("n1", "taint"));
    assert!(text.contains("should be kept off n1 because of \"taint\", but the reasons are: Insufficient cpu\n"));
}

/// A scheduler of somebody's own, that does not explain itself.
struct Never;

impl Scheduler for Never {
    fn schedule(&self, _: &PodInfo, snapshot: &Snapshot, _: u64) -> Result<Placement, ScheduleError> {
        let mut diagnosis = Diagnosis::new(snapshot.len());
        for node in snapshot.iter() {
            diagnosis.reject(node.name().clone(), Rejection::new("node(s) are not good enough").by("Taste"));
        }
        Err(diagnosis.into())
    }
}

#[test]
fn a_scheduler_that_does_not_explain_itself_is_shown_by_its_reasons() {
    let text = failure(|| _ = cluster().decide(&Never, pod("p")).assert_bound("n1"));
    let expected = "should go to n1, but: 0/2 nodes are available: 2 node(s) are not good enough.\n\n\
                    Taste: node(s) are not good enough (n1, n2)\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn assertions_about_the_cluster_show_it() {
    let cluster = cluster().pod(pod("new"));
    for (text, expected) in [
        (failure(|| cluster.assert_on("old", "n2")), "pod old should be on n2, but is on n1\n"),
        (failure(|| cluster.assert_on("new", "n2")), "pod new should be on n2, but waits for a node\n"),
        (failure(|| cluster.assert_on("no", "n2")), "pod no should be on n2, but there is no such pod\n"),
        (failure(|| cluster.assert_nothing_pending()), "1 pods should have a node: default/new\n"),
        (failure(|| cluster.assert_packed("app=old", 0)), "pods should be on 0 nodes at most, but are on 1: n1\n"),
        (
            failure(|| cluster.assert_spread("app=old", "topology.kubernetes.io/zone", 0)),
            "pods with \"app=old\" should differ by 0 at most between values of topology.kubernetes.io/zone, but differ by 1 \
             (a: 1, b: 0)\n",
        ),
    ] {
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\nNODE "), "{text}");
    }
    let cluster = cluster.pod(pod("huge").cpu(9).on("n1"));
    assert!(failure(|| cluster.assert_not_overcommitted()).starts_with("node n1 has more reserved than it has"));
}
