use std::collections::BTreeSet;

use serde_json::json;

use super::{
    server::ask,
    world::{WEB, World, at, slices, web},
};

fn name(answer: String) -> String {
    answer.split_once(' ').unwrap().0.to_owned()
}

#[test]
fn a_client_stays_with_its_endpoint_while_it_is_there() {
    let mut world = World::new(6);
    let sticky =
        || web(json!({"sessionAffinity": "ClientIP", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
    world.apply(&[sticky()], &slices(&[at(0, "here"), at(1, "here"), at(2, "elsewhere")]));
    let chosen = name(ask(&world.pods[3], WEB).unwrap());
    for _ in 0..20 {
        assert_eq!(name(ask(&world.pods[3], WEB).unwrap()), chosen);
        assert_eq!(name(ask(&world.pods[3], "192.0.2.1:30080").unwrap()), chosen, "by whichever front");
    }
    // Another endpoint comes, and one that it does not use goes: it stays.
    let number: usize = chosen.trim_start_matches("pod").parse().unwrap();
    world.apply(&[sticky()], &slices(&[at(number, "here"), at(4, "here"), at(5, "here")]));
    for _ in 0..20 {
        assert_eq!(name(ask(&world.pods[3], WEB).unwrap()), chosen);
    }
    // Its own goes: it moves, once.
    world.apply(&[sticky()], &slices(&[at(4, "here"), at(5, "here")]));
    let moved: BTreeSet<String> = (0..20).map(|_| name(ask(&world.pods[3], WEB).unwrap())).collect();
    assert_eq!(moved.len(), 1);
    assert!(!moved.contains(&chosen));
}

#[test]
fn a_client_that_was_away_for_longer_than_the_timeout_draws_again() {
    let mut world = World::new(3);
    let client_ip = json!({"clientIP": {"timeoutSeconds": 1}});
    let sticky = web(json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": client_ip}));
    world.apply(&[sticky], &slices(&[at(0, "here"), at(1, "here")]));
    ask(&world.pods[2], WEB).unwrap();
    assert_eq!(clients(&world), 1);
    // The kernel's clock is not ours to move: wait until it has forgotten.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while clients(&world) > 0 {
        assert!(std::time::Instant::now() < end, "the kernel never forgets");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    ask(&world.pods[2], WEB).unwrap();
}

/// How many clients are remembered.
fn clients(world: &World) -> usize {
    world.ruleset().matches(" expires ").count()
}
