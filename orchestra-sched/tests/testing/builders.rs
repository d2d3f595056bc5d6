//! The builders of the test kit.

use orchestra_core::scheduler::Effect;
use orchestra_sched::testing::{node, pod};

#[test]
fn a_node_has_what_it_is_given() {
    let info = node("n1").cpu("1500m").resource("a/gpu", 2).zone("a").taint("k=v:NoExecute").cordoned().info();
    assert_eq!((info.allocatable().milli_cpu, info.allocatable().get("a/gpu")), (1500, 2));
    assert_eq!((info.allocatable().memory, info.allocatable().pods), (8 << 30, 110));
    assert_eq!(info.labels()["topology.kubernetes.io/zone"], "a");
    assert_eq!(info.labels()["kubernetes.io/hostname"], "n1");
    assert_eq!((&*info.taints()[0].value, info.taints()[0].effect), ("v", Effect::NoExecute));
    assert!(info.is_unschedulable());
}

#[test]
fn a_pod_has_what_it_is_given() {
    let info = pod("p").namespace("ns").requests("500m", "1Gi").request("a/gpu", 1).host_port(80).priority(7).info();
    assert_eq!((info.requests().milli_cpu, info.requests().memory, info.requests().get("a/gpu")), (500, 1 << 30, 1));
    assert_eq!((info.key().to_string(), &**info.id(), info.priority()), ("ns/p".to_owned(), "ns/p", 7));
    assert_eq!(info.host_ports()[0].port, 80);
    assert_eq!(pod("q").on("n1").info().node_name(), Some("n1"));
}

#[test]
fn what_a_pod_says_about_nodes_is_a_label_selector() {
    let built = pod("p").require("zone in (a,b), !spot, cores>4").require("disk=ssd").build();
    let affinity = built.spec.unwrap().affinity.unwrap().node_affinity.unwrap();
    let terms = affinity.required_during_scheduling_ignored_during_execution.unwrap().node_selector_terms;
    let read: Vec<_> = terms[0].match_expressions.iter().flatten().map(|r| (&*r.key, &*r.operator)).collect();
    assert_eq!(read, [("zone", "In"), ("spot", "DoesNotExist"), ("cores", "Gt")]);
    assert_eq!(terms.len(), 2);
}

#[test]
fn tolerations_are_written_as_taints_are() {
    let built = pod("p").tolerate("k=v:NoSchedule").tolerate("k").tolerate_everything().build();
    let read = built.spec.unwrap().tolerations.unwrap();
    let read: Vec<_> = read.iter().map(|t| [&t.key, &t.operator, &t.value, &t.effect].map(Option::as_deref)).collect();
    assert_eq!(read[0], [Some("k"), Some("Equal"), Some("v"), Some("NoSchedule")]);
    assert_eq!(read[1], [Some("k"), Some("Exists"), None, None]);
    assert_eq!(read[2], [None, Some("Exists"), None, None]);
}

#[test]
#[should_panic(expected = "\"4 cores\" is no quantity: ")]
fn a_quantity_that_is_none_ends_the_test() {
    let _ = node("n1").cpu("4 cores");
}

#[test]
#[should_panic(expected = "taint \"k=v\" has no effect: write it as key=value:Effect")]
fn a_taint_without_effect_ends_the_test() {
    let _ = node("n1").taint("k=v");
}

#[test]
#[should_panic(expected = "\"Never\" in \"k:Never\" is no effect: NoSchedule, PreferNoSchedule or NoExecute")]
fn an_effect_that_is_none_ends_the_test() {
    let _ = pod("p").tolerate("k:Never");
}

#[test]
#[should_panic(expected = "is no label selector")]
fn a_selector_that_is_none_ends_the_test() {
    let _ = pod("p").require("zone in a");
}
