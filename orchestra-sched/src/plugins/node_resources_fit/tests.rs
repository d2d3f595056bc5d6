use std::sync::Arc;

use serde_json::{Value, json};

use super::{super::testing::*, *};

fn holding(requests: Value) -> NodeInfo {
    let mut node = node(json!({ "status": { "allocatable": { "ephemeral-storage": "10Gi", "a/gpu": "2" } } }));
    node.add_pod(Arc::new(requesting(requests)));
    node
}

fn short(requests: Value, held: Value) -> Option<(String, bool)> {
    verdict(&NodeResourcesFit::default(), &requesting(requests), &holding(held))
}

#[test]
fn a_pod_fits_exactly_or_not_at_all() {
    assert_eq!(short(json!({ "cpu": "3" }), json!({ "cpu": "1" })), None);
    assert_eq!(short(json!({ "cpu": "3001m" }), json!({ "cpu": "1" })), Some(("Insufficient cpu".into(), true)));
}

#[test]
fn each_resource_has_its_reason() {
    for (name, held, wanted) in [("memory", "7Gi", "2Gi"), ("ephemeral-storage", "9Gi", "2Gi"), ("a/gpu", "1", "2")] {
        let expected = Some((format!("Insufficient {name}"), true));
        assert_eq!(short(json!({ name: wanted }), json!({ name: held })), expected);
        assert_eq!(short(json!({ name: "1" }), json!({})), None);
    }
}

#[test]
fn all_that_is_short_is_named() {
    let expected = Some(("Insufficient cpu, Insufficient memory".to_owned(), true));
    assert_eq!(short(json!({ "cpu": "4", "memory": "8Gi" }), json!({ "cpu": "1", "memory": "1" })), expected);
}

#[test]
fn more_than_the_node_has_is_unresolvable() {
    assert_eq!(short(json!({ "cpu": "5" }), json!({})), Some(("Insufficient cpu".into(), false)));
    assert_eq!(short(json!({ "b/fpga": "1" }), json!({})), Some(("Insufficient b/fpga".into(), false)));
}

#[test]
fn what_is_not_asked_for_does_not_matter() {
    assert_eq!(short(json!({ "memory": "1" }), json!({ "cpu": "9" })), None);
    assert_eq!(short(json!({ "cpu": "0", "b/fpga": "0" }), json!({ "cpu": "9" })), None);
}

#[test]
fn a_node_takes_only_so_many_pods() {
    let mut full = node(json!({ "status": { "allocatable": { "pods": "1" } } }));
    assert_eq!(verdict(&NodeResourcesFit::default(), &requesting(json!({})), &full), None);
    full.add_pod(Arc::new(requesting(json!({}))));
    assert_eq!(
        verdict(&NodeResourcesFit::default(), &requesting(json!({})), &full),
        Some(("Too many pods".into(), true))
    );
}

#[test]
fn a_node_without_status_takes_none() {
    let bare = NodeInfo::new(Arc::new(k8s_openapi::api::core::v1::Node::default()));
    assert_eq!(
        verdict(&NodeResourcesFit::default(), &requesting(json!({})), &bare),
        Some(("Too many pods".into(), true))
    );
}

#[test]
fn the_emptier_node_is_better() {
    let (empty, half) =
        (holding(json!({ "cpu": "0", "memory": "0" })), holding(json!({ "cpu": "2", "memory": "4Gi" })));
    let pod = requesting(json!({ "cpu": "1", "memory": "2Gi" }));
    assert_eq!(scores(&NodeResourcesFit::default(), &pod, &[&empty, &half]), Some(vec![75, 25]));
}

#[test]
fn requests_that_are_not_named_count_with_their_defaults_when_nodes_are_compared() {
    let (none, some) = (holding(json!({ "cpu": "0", "memory": "0" })), holding(json!({})));
    let pod = requesting(json!({ "cpu": "0", "memory": "0" }));
    assert_eq!(scores(&NodeResourcesFit::default(), &pod, &[&none, &some]), Some(vec![100, 97]));
}

#[test]
fn only_what_makes_room_is_worth_another_attempt() {
    let pod = requesting(json!({ "cpu": "5" }));
    let sized = |cpu: &str| Arc::new(node(json!({ "status": { "allocatable": { "cpu": cpu } } })));
    let update = |old: &str, new: &str| ClusterEvent::NodeUpdated { old: sized(old), new: sized(new) };
    assert!(NodeResourcesFit::default().may_help(&ClusterEvent::NodeAdded(sized("5")), &pod));
    assert!(!NodeResourcesFit::default().may_help(&ClusterEvent::NodeAdded(sized("4")), &pod));
    assert!(NodeResourcesFit::default().may_help(&update("4", "6"), &pod));
    assert!(!NodeResourcesFit::default().may_help(&update("6", "6"), &pod));
    let scaled = |from: &str, to: &str| ClusterEvent::AssignedPodUpdated {
        old: Arc::new(requesting(json!({ "cpu": from }))),
        new: Arc::new(requesting(json!({ "cpu": to }))),
    };
    assert!(NodeResourcesFit::default().may_help(&scaled("2", "1"), &pod));
    assert!(!NodeResourcesFit::default().may_help(&scaled("1", "2"), &pod));
    assert!(!NodeResourcesFit::default().concerns(EventKind::PodAssigned));
}

#[test]
fn only_room_of_the_kind_that_is_wanted_is_worth_another_attempt() {
    let (plugin, pod) = (NodeResourcesFit::default(), requesting(json!({ "cpu": "3" })));
    let sized = |cpu: &str, memory: &str, pods: &str| {
        Arc::new(node(json!({ "status": { "allocatable": { "cpu": cpu, "memory": memory, "pods": pods } } })))
    };
    let update = |new| ClusterEvent::NodeUpdated { old: sized("4", "1Gi", "10"), new };
    assert!(!plugin.may_help(&update(sized("4", "2Gi", "10")), &pod), "more memory, which the pod does not ask for");
    assert!(plugin.may_help(&update(sized("4", "1Gi", "11")), &pod), "room for one more pod");
    assert!(!plugin.may_help(&update(sized("2", "2Gi", "11")), &pod), "too small even if it were empty");
    let changed = |old: Value, new: Value| (Arc::new(requesting(old)), Arc::new(requesting(new)));
    let (old, new) = changed(json!({ "memory": "2Gi" }), json!({ "memory": "1Gi" }));
    assert!(!plugin.may_help(&ClusterEvent::AssignedPodUpdated { old, new }, &pod));
    let (old, new) = changed(json!({ "cpu": "3" }), json!({ "cpu": "2" }));
    assert!(plugin.may_help(&ClusterEvent::PodUpdated { old: old.clone(), new: new.clone() }, &pod));
    assert!(!plugin.may_help(&ClusterEvent::PodUpdated { old: new, new: old }, &pod));
    assert!(!plugin.concerns(EventKind::NodeRemoved));
}

fn with_args(args: Value) -> Result<NodeResourcesFit, String> {
    NodeResourcesFit::new(serde_json::from_value(args).unwrap())
}

#[test]
fn ignored_resources_need_not_be_there() {
    let pod = requesting(json!({ "example.org/license": "1", "example.org/seat": "1", "cpu": "1" }));
    let node = node(json!({}));
    let missing = "Insufficient example.org/license, Insufficient example.org/seat".to_owned();
    assert_eq!(verdict(&with_args(json!({})).unwrap(), &pod, &node), Some((missing, false)));
    let one = with_args(json!({ "ignoredResources": ["example.org/license"] })).unwrap();
    assert_eq!(verdict(&one, &pod, &node), Some(("Insufficient example.org/seat".to_owned(), false)));
    let group = with_args(json!({ "ignoredResourceGroups": ["example.org"] })).unwrap();
    assert_eq!(verdict(&group, &pod, &node), None);
    assert!(group.may_help(&ClusterEvent::NodeAdded(Arc::new(node)), &pod));
}

#[test]
fn kubernetes_own_resources_cannot_be_ignored() {
    let plugin = with_args(json!({ "ignoredResources": ["cpu", "hugepages-2Mi"] })).unwrap();
    let expected = Some(("Insufficient cpu, Insufficient hugepages-2Mi".to_owned(), false));
    assert_eq!(verdict(&plugin, &requesting(json!({ "cpu": "9", "hugepages-2Mi": "1" })), &node(json!({}))), expected);
}

/// The scores of two nodes of 4 CPUs and 8 GiB, one of which has these requests, for a pod with those.
fn scores_by(strategy: Value, held: Value, wanted: Value) -> Vec<i64> {
    let plugin = with_args(json!({ "scoringStrategy": strategy })).unwrap();
    let nodes = [holding(json!({ "cpu": "0", "memory": "0" })), holding(held)];
    scores(&plugin, &requesting(wanted), &[&nodes[0], &nodes[1]]).unwrap()
}

#[test]
fn with_most_allocated_the_fuller_node_is_better() {
    let most = json!({ "type": "MostAllocated" });
    let half = json!({ "cpu": "2", "memory": "4Gi" });
    let wanted = json!({ "cpu": "1", "memory": "2Gi" });
    assert_eq!(scores_by(most.clone(), half, wanted.clone()), [25, 75]);
    assert_eq!(
        scores_by(most, json!({ "cpu": "40", "memory": "80Gi" }), wanted),
        [25, 100],
        "never more than all of it"
    );
}

#[test]
fn resources_count_by_their_weights() {
    let resources = json!([{ "name": "cpu", "weight": 3 }, { "name": "memory" }]);
    let least = json!({ "type": "LeastAllocated", "resources": resources });
    // Of the CPUs 3/4 and 1/4 are left, of the memory all.
    let (held, wanted) = (json!({ "cpu": "2", "memory": "0" }), json!({ "cpu": "1", "memory": "0" }));
    assert_eq!(scores_by(least, held, wanted), [(75 * 3 + 100) / 4, (25 * 3 + 100) / 4]);
}

#[test]
fn extended_resources_count_for_pods_that_ask_for_them() {
    let strategy = json!({ "type": "MostAllocated", "resources": [{ "name": "a/gpu" }] });
    assert_eq!(scores_by(strategy.clone(), json!({ "a/gpu": "1" }), json!({ "a/gpu": "1" })), [50, 100]);
    assert_eq!(scores_by(strategy, json!({ "a/gpu": "1" }), json!({ "cpu": "1" })), [0, 0]);
    let strategy =
        json!({ "type": "LeastAllocated", "resources": [{ "name": "ephemeral-storage" }, { "name": "b/fpga" }] });
    assert_eq!(scores_by(strategy, json!({ "ephemeral-storage": "5Gi" }), json!({})), [100, 50]);
}

#[test]
fn with_requested_to_capacity_ratio_the_function_decides() {
    // The documentation's bin packing: a full node is best.
    let ratio = |resources: Value, shape: Value| json!({ "type": "RequestedToCapacityRatio", "resources": resources, "requestedToCapacityRatio": { "shape": shape } });
    let packing = json!([{ "utilization": 0, "score": 0 }, { "utilization": 100, "score": 10 }]);
    let resources = json!([{ "name": "a/gpu", "weight": 3 }, { "name": "cpu", "weight": 1 }]);
    let wanted = json!({ "a/gpu": "1", "cpu": "1" });
    // 50 and 100 percent of the devices, 25 and 75 of the CPUs.
    let held = json!({ "a/gpu": "1", "cpu": "2" });
    assert_eq!(scores_by(ratio(resources.clone(), packing.clone()), held.clone(), wanted.clone()), [44, 94]);
    let spreading = json!([{ "utilization": 0, "score": 10 }, { "utilization": 100, "score": 0 }]);
    // What has no score left does not count: of the second node, the CPUs alone.
    assert_eq!(scores_by(ratio(resources, spreading), held, wanted), [56, 25]);
    let over = scores_by(ratio(json!([{ "name": "cpu" }]), packing), json!({ "cpu": "40" }), json!({ "cpu": "1" }));
    assert_eq!(over, [25, 100], "more than all of it is all of it");
}

#[test]
fn a_node_that_has_none_of_the_resources_scores_nothing() {
    let bare = NodeInfo::new(Arc::new(k8s_openapi::api::core::v1::Node::default()));
    for strategy in ["LeastAllocated", "MostAllocated"] {
        let plugin = with_args(json!({ "scoringStrategy": { "type": strategy } })).unwrap();
        assert_eq!(scores(&plugin, &requesting(json!({ "cpu": "1" })), &[&bare, &bare]), Some(vec![0, 0]));
    }
}

#[test]
fn wrong_arguments_are_named_in_kubernetes_words() {
    let types = r#"supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio""#;
    for (args, expected) in [
        (json!({ "scoringStrategy": {} }), format!(r#"scoringStrategy.type: Unsupported value: "": {types}"#)),
        (
            json!({ "scoringStrategy": { "type": "MostAllocated", "resources": [{ "name": "cpu", "weight": 101 }] } }),
            "scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]".to_owned(),
        ),
        (
            json!({ "scoringStrategy": { "type": "RequestedToCapacityRatio" } }),
            "scoringStrategy.requestedToCapacityRatio: Required value: must be specified when type is RequestedToCapacityRatio".to_owned(),
        ),
        (
            json!({ "scoringStrategy": { "type": "LeastAllocated", "requestedToCapacityRatio": {} } }),
            "scoringStrategy.requestedToCapacityRatio: Forbidden: must be nil when type is not RequestedToCapacityRatio".to_owned(),
        ),
        (
            json!({ "ignoredResourceGroups": ["a/b"] }),
            r#"ignoredResourceGroups[0]: Invalid value: "a/b": resource group name can't contain '/'"#.to_owned(),
        ),
    ] {
        assert_eq!(with_args(args).unwrap_err(), expected);
    }
    let bad_name = with_args(json!({ "ignoredResources": ["/x"] })).unwrap_err();
    assert_eq!(bad_name, r#"ignoredResources[0]: Invalid value: "/x": prefix part must be non-empty"#);
}

#[test]
fn wrong_shapes_are_named_in_kubernetes_words() {
    let of = |shape: Value| {
        let strategy = json!({ "type": "RequestedToCapacityRatio", "requestedToCapacityRatio": { "shape": shape } });
        with_args(json!({ "scoringStrategy": strategy })).unwrap_err()
    };
    let path = "scoringStrategy.requestedToCapacityRatio.shape";
    assert_eq!(of(json!([])), format!("{path}: Required value: at least one point must be specified"));
    assert_eq!(
        of(json!([{ "utilization": 50, "score": 1 }, { "utilization": 50, "score": 2 }])),
        format!("{path}[1].utilization: Invalid value: 50: values must be sorted in increasing order")
    );
    assert_eq!(
        of(json!([{ "utilization": 101, "score": 11 }])),
        format!(
            "[{path}[0].utilization: Invalid value: 101: not in valid range [0, 100], {path}[0].score: Invalid value: 11: not in valid range [0, 10]]"
        )
    );
}

#[test]
fn unknown_fields_are_refused() {
    let error = serde_json::from_value::<NodeResourcesFitArgs>(json!({ "ignored": [] })).unwrap_err();
    assert!(error.to_string().starts_with("unknown field `ignored`"));
}

#[test]
fn what_devices_provide_is_left_to_them_and_hints_know_that() {
    use k8s_openapi::api::resource::v1::DeviceClass;
    use orchestra_core::{informer::Change, scheduler::ClusterEvent};

    use crate::testing::{TestCluster, device_class, node, pod};
    let (plugin, asks) = (NodeResourcesFit::default(), pod("p").cpu(1).request("example.com/gpu", 1).info());
    let class = |name: &str| device_class(name).extended_resource("example.com/gpu").build();
    let decide = |cluster: TestCluster, node: &str| {
        let (mut state, snapshot) = (CycleState::default(), cluster.snapshot());
        assert_eq!(plugin.pre_filter(&mut state, &asks, &snapshot), PreFilterOutcome::Continue);
        plugin.filter(&state, &asks, snapshot.get(node).unwrap()).map_err(|why| why.reasons().join(", "))
    };
    let nodes = || TestCluster::new().nodes([node("n1").cpu(1), node("n2").cpu(1).resource("example.com/gpu", 0)]);
    let short = Err("Insufficient example.com/gpu".to_owned());
    let added = ClusterEvent::NodeAdded(Arc::new(node("n3").cpu(1).info()));
    assert_eq!(decide(nodes(), "n1"), short);
    assert!(!plugin.may_help(&added, &asks), "it does not have what is asked for");
    let told = |class: DeviceClass| ClusterEvent::ObjectChanged(Change::Added(Arc::new(class)).into());
    assert!(plugin.may_help(&told(class("gpu")), &asks));
    assert!(!plugin.may_help(&told(device_class("gpu").build()), &asks), "it provides something else");
    let provided = || nodes().object(class("gpu"));
    assert_eq!((decide(provided(), "n1"), decide(provided(), "n2")), (Ok(()), Ok(())));
    assert!(plugin.may_help(&added, &asks), "devices may provide it there");
    let has = provided()
        .node(node("n4").cpu(1).resource("example.com/gpu", 1))
        .pod(pod("q").request("example.com/gpu", 1).on("n4"));
    assert_eq!(decide(has, "n4"), short, "the node itself has some");
}
