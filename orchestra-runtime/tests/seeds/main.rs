//! Ten seeds give ten courses of events in a whole cluster: rollouts, undone and scaled half-way, images that crash, pods that users
//! delete, a node that is full. An observer reads every revision of the store and checks that none breaks an invariant.
//!
//! `SEEDS=100` runs more of them, `SEEDS=37..38` one that failed.

mod invariants;
mod observer;
mod recent;
mod scenario;
mod state;
mod workload;
mod world;

use std::ops::Range;

use self::{observer::Observer, scenario::Scenario, world::World};

/// Whether the way between the cluster's parts and its API server has faults.
#[derive(Clone, Copy, PartialEq)]
enum Line {
    Sound,
    Bad,
}

/// Runs the course of events that belongs to `seed`, and returns all that the store was told.
async fn run(seed: u64, line: Line) -> Vec<u8> {
    let world = World::start(seed, line).await;
    let mut observer = Observer::of(&world).await;
    let scenario = Scenario::of(&world);
    let went = tokio::select! {
        biased;
        violation = observer.watch() => Err(violation),
        went = scenario.run() => went,
    };
    let went = match went {
        Ok(()) => observer.finish().await,
        Err(what) => Err(what),
    };
    if let Err(what) = went {
        panic!("{}seed {seed}, {what}", observer.recent());
    }
    world.shut_down().await;
    observer.into_log()
}

/// A runtime for each: nothing of one run is left in the next.
fn in_paused_time(seed: u64, line: Line) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("the runtime is built");
    runtime.block_on(run(seed, line))
}

fn seeds() -> Range<u64> {
    let Ok(wanted) = std::env::var("SEEDS") else { return 0..10 };
    let number = |text: &str| text.parse().expect("SEEDS is a number, or two with `..` between");
    match wanted.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&wanted),
    }
}

#[test]
fn no_seed_breaks_an_invariant() {
    for seed in seeds() {
        in_paused_time(seed, Line::Sound);
    }
}

#[test]
fn no_seed_breaks_an_invariant_where_calls_fail_answers_get_lost_and_watches_lag() {
    for seed in seeds() {
        in_paused_time(seed, Line::Bad);
    }
}

#[test]
fn a_seed_gives_the_same_history_again() {
    for seed in seeds().step_by(5) {
        let first = in_paused_time(seed, Line::Bad);
        assert!(first == in_paused_time(seed, Line::Bad), "seed {seed}: the histories differ");
        assert!(first != in_paused_time(seed, Line::Sound), "seed {seed}: its faults change nothing");
    }
}
