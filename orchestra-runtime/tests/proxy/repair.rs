use serde_json::json;

use super::{
    server::ask,
    world::{WEB, World, at, node, slices, web},
};
use orchestra_runtime::proxy::RuleSet;

#[test]
fn what_is_out_of_use_goes_and_a_clean_up_leaves_nothing() {
    let mut world = World::new(2);
    let before = world.ruleset();
    let sticky =
        web(json!({"sessionAffinity": "ClientIP", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
    world.apply(&[], &[]);
    let empty = world.ruleset();
    world.apply(&[sticky], &slices(&[at(0, "here"), at(1, "here")]));
    world.apply(&[web(json!({}))], &slices(&[at(0, "here"), at(1, "here")]));
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    world.apply(&[], &[]);
    world.tidy();
    assert_eq!(world.ruleset(), empty);
    world.clean_up();
    assert_eq!(world.ruleset(), before);
    world.clean_up();
}

#[test]
fn a_transaction_on_a_table_that_somebody_deleted_fails_and_the_next_makes_it_anew() {
    let mut world = World::new(3);
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    world.node.run("nft delete table ip kube-proxy");
    let rules = RuleSet::of(&[web(json!({}))], &slices(&[at(1, "here")]), &node(), &world.config);
    world.try_apply(&rules).unwrap_err();
    assert!(world.try_apply(&rules).unwrap().full);
    assert!(ask(&world.pods[2], WEB).unwrap().starts_with("pod1 "));
}

#[test]
fn tables_of_another_layout_are_taken_over() {
    let mut world = World::new(2);
    world.node.run("nft add table ip kube-proxy");
    world.node.run("nft add chain ip kube-proxy services { type filter hook output priority 0 ; policy drop ; }");
    assert!(ask(&world.node, "10.244.0.2:8080").is_err());
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    assert!(ask(&world.node, WEB).unwrap().starts_with("pod0 "));
}

#[test]
fn tables_are_intact_until_somebody_else_changes_what_does_not_depend_on_services() {
    let mut world = World::new(1);
    world.apply(&[web(json!({}))], &slices(&[at(0, "here")]));
    assert!(world.is_intact());
    world.apply(&[], &[]);
    assert!(world.is_intact(), "the proxy's own changes are no others'");
    world.node.run("nft flush chain ip6 kube-proxy masquerading");
    assert!(!world.is_intact());
}
