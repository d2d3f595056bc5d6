//! Times to live across restarts, and clocks that jump.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use orchestra_core::{
    clock::Clock,
    store::{Event, Precondition, ReadAt, Revision, Store, Transaction, Watcher},
};
use orchestra_store::DurableStore;
use parking_lot::Mutex;

use crate::harness::{Place, all};

/// A wall clock that tests move; it does not go by itself.
#[derive(Clone)]
struct Wall(Arc<Mutex<Timestamp>>);

impl Wall {
    fn new() -> Self {
        Self(Arc::new(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())))
    }

    fn shift(&self, seconds: i64) {
        let mut now = self.0.lock();
        *now = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    }
}

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

const TTL: Duration = Duration::from_secs(60);

fn open(place: &Place, wall: &Wall) -> DurableStore {
    DurableStore::builder().clock(wall.clone()).open(place.path()).unwrap()
}

/// A store that was closed with a key in it that expires.
async fn closed_with_a_key(wall: &Wall) -> Place {
    let place = Place::new();
    let put = Transaction::new().put_with_ttl("/lease", "held", Precondition::Absent, TTL);
    open(&place, wall).commit(put).await.unwrap();
    place
}

async fn is_there(store: &DurableStore) -> bool {
    store.get("/lease", ReadAt::Latest).await.unwrap().is_some()
}

/// How long the key lives in an open store.
async fn lives_for(store: &DurableStore) -> Duration {
    let begun = tokio::time::Instant::now();
    let mut watch = store.watch(all(), store.revision().await.unwrap()).await.unwrap();
    while is_there(store).await {
        watch.next().await.unwrap().unwrap();
    }
    begun.elapsed()
}

fn about(lived: Duration, seconds: u64) -> bool {
    (seconds..seconds + 2).contains(&lived.as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_key_lives_on_for_what_is_left() {
    let wall = Wall::new();
    let place = closed_with_a_key(&wall).await;
    wall.shift(20);
    let store = open(&place, &wall);
    let lived = lives_for(&store).await;
    assert!(about(lived, 40), "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_time_passed_while_the_store_was_closed_is_deleted_at_a_revision_of_its_own() {
    let wall = Wall::new();
    let place = closed_with_a_key(&wall).await;
    wall.shift(100);
    let store = open(&place, &wall);
    let mut watch = store.watch(all(), 1).await.unwrap();
    let batch = watch.next().await.unwrap().unwrap();
    let [Event::Delete { previous, revision: 2 }] = &batch.events[..] else { panic!("{batch:?}") };
    assert_eq!((&*previous.key, &*previous.value), ("/lease", &b"held"[..]));
    assert!(!is_there(&store).await);
    assert!(store.get("/lease", ReadAt::Revision(1)).await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_went_back_makes_no_key_live_longer_than_it_was_put_for() {
    let wall = Wall::new();
    let place = closed_with_a_key(&wall).await;
    wall.shift(-3600);
    let store = open(&place, &wall);
    let lived = lives_for(&store).await;
    assert!(about(lived, 60), "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_while_the_store_is_open_does_not_matter() {
    let wall = Wall::new();
    let place = closed_with_a_key(&wall).await;
    let store = open(&place, &wall);
    for seconds in [7200, -3600] {
        wall.shift(seconds);
        assert!(is_there(&store).await);
    }
    let lived = lives_for(&store).await;
    assert!(about(lived, 60), "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn an_expiry_is_as_durable_as_any_commit() {
    let wall = Wall::new();
    let place = closed_with_a_key(&wall).await;
    let store = open(&place, &wall);
    lives_for(&store).await;
    let revision: Revision = store.revision().await.unwrap();
    let killed = Place::copy_of(place.path());
    drop(store);
    wall.shift(-3600);
    for place in [&place, &killed] {
        let store = open(place, &wall);
        assert!(!is_there(&store).await);
        assert_eq!(store.revision().await.unwrap(), revision);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_without_end_stays_so() {
    let wall = Wall::new();
    let place = Place::new();
    let put = Transaction::new().put_with_ttl("/lease", "held", Precondition::Absent, Duration::MAX);
    open(&place, &wall).commit(put).await.unwrap();
    wall.shift(3600 * 24 * 365 * 1000);
    assert!(is_there(&open(&place, &wall)).await);
}
