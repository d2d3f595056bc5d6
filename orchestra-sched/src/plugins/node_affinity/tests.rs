use serde_json::{Value, json};

use super::{super::testing::*, *};

fn labelled(labels: Value) -> NodeInfo {
    node(json!({ "metadata": { "labels": labels } }))
}

fn requiring(terms: Value) -> PodInfo {
    pod(json!({ "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } } }))
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
}

fn fits(pod: &PodInfo, node: &NodeInfo) -> bool {
    let verdict = verdict(&NodeAffinity::default(), pod, node);
    assert!(verdict.iter().all(|v| *v == ("node(s) didn't match Pod's node affinity/selector".to_owned(), false)));
    verdict.is_none()
}

#[test]
fn every_label_of_the_selector_must_match() {
    let pod = pod(json!({ "nodeSelector": { "disk": "ssd", "zone": "a" } }));
    assert!(fits(&pod, &labelled(json!({ "disk": "ssd", "zone": "a" }))));
    assert!(!fits(&pod, &labelled(json!({ "disk": "ssd" }))));
    assert!(!fits(&pod, &labelled(json!({ "disk": "hdd", "zone": "a" }))));
}

#[test]
fn each_operator_is_understood() {
    for (operator, values, hit, miss) in [
        ("In", &["a", "b"][..], json!({ "k": "b" }), json!({ "k": "c" })),
        ("NotIn", &["a"], json!({}), json!({ "k": "a" })),
        ("Exists", &[], json!({ "k": "" }), json!({})),
        ("DoesNotExist", &[], json!({}), json!({ "k": "a" })),
        ("Gt", &["5"], json!({ "k": "6" }), json!({ "k": "5" })),
        ("Lt", &["5"], json!({ "k": "4" }), json!({ "k": "x" })),
    ] {
        let pod = requiring(json!([expression("k", operator, values)]));
        assert!(fits(&pod, &labelled(hit)), "{operator}");
        assert!(!fits(&pod, &labelled(miss)), "{operator}");
    }
}

#[test]
fn one_term_is_enough_but_all_of_its_expressions_are_needed() {
    let both = json!({ "matchExpressions": [
        { "key": "a", "operator": "Exists" }, { "key": "b", "operator": "Exists" } ] });
    let pod = requiring(json!([both, expression("c", "Exists", &[])]));
    assert!(fits(&pod, &labelled(json!({ "a": "", "b": "" }))));
    assert!(fits(&pod, &labelled(json!({ "c": "" }))));
    assert!(!fits(&pod, &labelled(json!({ "a": "" }))));
}

#[test]
fn selector_and_affinity_are_both_needed() {
    let pod = pod(json!({ "nodeSelector": { "disk": "ssd" }, "affinity": { "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [expression("zone", "In", &["a"])] } } } }));
    assert!(fits(&pod, &labelled(json!({ "disk": "ssd", "zone": "a" }))));
    assert!(!fits(&pod, &labelled(json!({ "zone": "a" }))));
}

#[test]
fn empty_and_invalid_terms_match_nothing() {
    assert!(!fits(&requiring(json!([])), &labelled(json!({}))));
    assert!(!fits(&requiring(json!([{}])), &labelled(json!({}))));
    assert!(!fits(&requiring(json!([expression("k", "Near", &["a"])])), &labelled(json!({ "k": "a" }))));
    assert!(!fits(&requiring(json!([expression("k", "Gt", &["many"])])), &labelled(json!({ "k": "9" }))));
    let valid_too = requiring(json!([expression("k", "Near", &["a"]), expression("k", "Exists", &[])]));
    assert!(fits(&valid_too, &labelled(json!({ "k": "a" }))));
}

#[test]
fn terms_that_name_nodes_leave_only_those_in_question() {
    let field = |operator: &str, name: &str| json!({ "matchFields": [{ "key": "metadata.name", "operator": operator, "values": [name] }] });
    let outcome =
        |terms| NodeAffinity::default().pre_filter(&mut CycleState::default(), &requiring(terms), &Snapshot::default());
    let names = |names: &[&str]| PreFilterOutcome::Only(names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(outcome(json!([field("In", "n1"), field("In", "n2")])), names(&["n1", "n2"]));
    assert_eq!(outcome(json!([field("In", "n1"), expression("k", "Exists", &[])])), PreFilterOutcome::Continue);
    assert_eq!(outcome(json!([field("NotIn", "n1")])), PreFilterOutcome::Continue);
    assert!(fits(&requiring(json!([field("In", "n1")])), &labelled(json!({}))));
    assert!(!fits(&requiring(json!([field("NotIn", "n1")])), &labelled(json!({}))));
    let conflict = json!([{ "matchFields": [
        { "key": "metadata.name", "operator": "In", "values": ["n1"] },
        { "key": "metadata.name", "operator": "In", "values": ["n2"] } ] }]);
    assert!(matches!(outcome(conflict), PreFilterOutcome::Reject(_)));
}

#[test]
fn preferred_terms_add_up_by_weight() {
    let pod = pod(json!({ "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
        { "weight": 30, "preference": expression("a", "Exists", &[]) },
        { "weight": 10, "preference": expression("b", "Exists", &[]) } ] } } }));
    let nodes = [
        labelled(json!({ "a": "", "b": "" })),
        labelled(json!({ "a": "" })),
        labelled(json!({ "b": "" })),
        labelled(json!({})),
    ];
    let nodes: Vec<&NodeInfo> = nodes.iter().collect();
    assert_eq!(scores(&NodeAffinity::default(), &pod, &nodes), Some(vec![100, 75, 25, 0]));
}

#[test]
fn a_pod_without_preferences_is_not_scored() {
    assert_eq!(scores(&NodeAffinity::default(), &pod(json!({})), &[&labelled(json!({}))]), None);
}

#[test]
fn a_node_that_gains_the_label_is_worth_another_attempt() {
    let pod = pod(json!({ "nodeSelector": { "disk": "ssd" } }));
    let (plain, ssd) = (labelled(json!({})), labelled(json!({ "disk": "ssd" })));
    let update =
        |old: &NodeInfo, new: &NodeInfo| ClusterEvent::NodeUpdated { old: old.clone().into(), new: new.clone().into() };
    assert!(NodeAffinity::default().may_help(&update(&plain, &ssd), &pod));
    assert!(!NodeAffinity::default().may_help(&update(&ssd, &plain), &pod));
    assert!(!NodeAffinity::default().may_help(&ClusterEvent::NodeAdded(plain.into()), &pod));
}

fn with_added(affinity: Value) -> Result<NodeAffinity, String> {
    NodeAffinity::new(serde_json::from_value(json!({ "addedAffinity": affinity })).unwrap())
}

fn required(terms: Value) -> Value {
    json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } })
}

#[test]
fn an_added_affinity_holds_for_every_pod_beside_its_own() {
    let plugin = with_added(required(json!([expression("pool", "In", &["a"])]))).unwrap();
    let enforced = Some(("node(s) didn't match scheduler-enforced node affinity".to_owned(), false));
    let (in_pool, elsewhere) = (labelled(json!({ "pool": "a", "disk": "hdd" })), labelled(json!({ "disk": "ssd" })));
    let any = pod(json!({}));
    assert_eq!(verdict(&plugin, &any, &in_pool), None);
    assert_eq!(verdict(&plugin, &any, &elsewhere), enforced);
    let on_ssd = pod(json!({ "nodeSelector": { "disk": "ssd" } }));
    assert_eq!(verdict(&plugin, &on_ssd, &elsewhere), enforced, "it is asked first");
    assert_eq!(verdict(&plugin, &on_ssd, &in_pool).unwrap().0, "node(s) didn't match Pod's node affinity/selector");
    assert!(plugin.may_help(&ClusterEvent::NodeAdded(in_pool.into()), &any));
    assert!(!plugin.may_help(&ClusterEvent::NodeAdded(elsewhere.into()), &any));
}

#[test]
fn an_added_affinity_without_terms_allows_no_node() {
    let plugin = with_added(required(json!([]))).unwrap();
    assert!(verdict(&plugin, &pod(json!({})), &labelled(json!({ "a": "" }))).is_some());
}

#[test]
fn an_added_preference_adds_to_the_pods_own() {
    let preferred = |weight: i32, key: &str| json!({ "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": weight, "preference": expression(key, "Exists", &[]) }] });
    let plugin = with_added(preferred(10, "a")).unwrap();
    let nodes = [labelled(json!({ "a": "", "b": "" })), labelled(json!({ "b": "" })), labelled(json!({ "a": "" }))];
    let nodes: Vec<&NodeInfo> = nodes.iter().collect();
    let own = pod(json!({ "affinity": { "nodeAffinity": preferred(30, "b") } }));
    assert_eq!(scores(&plugin, &own, &nodes), Some(vec![100, 75, 25]));
    assert_eq!(scores(&plugin, &pod(json!({})), &nodes), Some(vec![100, 0, 100]));
}

#[test]
fn a_wrong_added_affinity_is_named_in_kubernetes_words() {
    let path = "addedAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[1].matchExpressions[0]";
    let supported = r#"supported values: "In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt""#;
    let error = with_added(required(json!([{}, expression("k", "Near", &["a"])]))).unwrap_err();
    assert_eq!(error, format!(r#"{path}.operator: Unsupported value: "Near": {supported}"#));
    let terms = json!([{ "weight": 0, "preference": expression("k", "Near", &[]) },
                       { "weight": 1, "preference": expression("k", "Exists", &["v"]) }]);
    let error = with_added(json!({ "preferredDuringSchedulingIgnoredDuringExecution": terms })).unwrap_err();
    let path = "addedAffinity.preferredDuringSchedulingIgnoredDuringExecution[1].matchExpressions[0].values";
    assert_eq!(
        error,
        format!(r#"{path}: Invalid value: ["v"]: values set must be empty for exists and does not exist"#)
    );
}

#[test]
fn bounds_are_whole_numbers_and_labels_that_are_none_do_not_match() {
    for (operator, bound, value, expected) in [
        ("Gt", "9223372036854775807", "9223372036854775807", false),
        ("Gt", "1.5", "2", false),
        ("Lt", "5", "4.5", false),
        ("Lt", "5", "", false),
        ("Gt", "007", "8", true),
        ("Gt", "99999999999999999999", "8", false),
    ] {
        let pod = requiring(json!([expression("k", operator, &[bound])]));
        assert_eq!(fits(&pod, &labelled(json!({ "k": value }))), expected, "{value} {operator} {bound}");
    }
}

#[test]
fn a_change_of_the_pod_itself_is_no_reason_to_look_again() {
    assert!(!NodeAffinity::default().concerns(EventKind::PodUpdated));
}
