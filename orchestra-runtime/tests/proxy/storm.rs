use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;

use super::{
    server::connect,
    world::{Endpoint, WEB, World, at, slices, web},
};

/// Ends the clients, also if the test panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Endpoints come and go, never all, and so does session affinity with its chains, while clients connect without a pause.
#[test]
fn no_connection_fails_while_endpoints_come_and_go() {
    let mut world = World::new(5);
    let sets: [Vec<Endpoint>; 5] = [
        vec![at(0, "here")],
        vec![at(0, "here"), at(1, "here"), at(2, "here"), at(3, "here")],
        vec![at(2, "here"), at(3, "here")],
        vec![at(1, "here"), at(2, "here"), at(3, "here")],
        vec![at(3, "here")],
    ];
    world.apply(&[web(json!({}))], &slices(&sets[0]));
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = world.pods.pop().unwrap();
    let failed = thread::scope(|scope| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let (client, done, asked) = (&client, &done, &asked);
                scope.spawn(move || {
                    client.enter(|| {
                        let mut failed = Vec::new();
                        while !done.load(Ordering::Relaxed) {
                            asked.fetch_add(1, Ordering::Relaxed);
                            failed.extend(connect(WEB.parse().unwrap(), Duration::from_secs(10)).err());
                        }
                        failed
                    })
                })
            })
            .collect();
        let end = End(&done);
        for round in 0..200 {
            let more = if round % 3 == 0 { json!({"sessionAffinity": "ClientIP"}) } else { json!({}) };
            world.apply(&[web(more)], &slices(&sets[round % sets.len()]));
            if round % 50 == 49 {
                world.tidy();
            }
        }
        drop(end);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(failed.is_empty(), "{} of {} failed: {:?}", failed.len(), asked.into_inner(), failed.first());
    assert!(asked.into_inner() > 200);
}
