//! A process that writes is killed at random points, again and again: nothing that it acknowledged is lost.
//!
//! `ORCHESTRA_KILL_RUNS=1000 cargo test --release -p orchestra-store --test durable -- kill --nocapture` does so a thousand
//! times. `ORCHESTRA_KILL_SEED` repeats a sequence of points; the processes' own timing is never the same.

use std::{collections::HashMap, env, path::Path, time::Duration};

use orchestra_core::{
    random::Generator,
    store::{Event, KeyValue, Precondition, ReadAt, Revision, Store, StoreError, Transaction},
};
use orchestra_store::DurableStore;

use crate::{
    child::{self, Child},
    harness::{Place, events, picture, state},
};

const CALLERS: u64 = 64;

fn number(variable: &str, otherwise: u64) -> u64 {
    env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Little history, so that there is always something to sweep.
fn open(folder: &Path) -> DurableStore {
    DurableStore::builder().retained_revisions(8_000).retained_bytes(4 << 20).open(folder).expect("the store opens")
}

/// The number that a value begins with.
fn count(value: &[u8]) -> u64 {
    let digits = value.split(|byte| *byte == b' ').next().expect("split has a first");
    str::from_utf8(digits).expect("UTF-8").parse().expect("a number")
}

/// A number, made some hundred bytes long or some thousand.
fn value(count: u64) -> String {
    format!("{count} {}", "x".repeat((count * 97 % 3_000) as usize))
}

#[tokio::test]
async fn what_was_acknowledged_survives_kills() {
    let (runs, seed) = (number("ORCHESTRA_KILL_RUNS", 20), number("ORCHESTRA_KILL_SEED", 1));
    let random = Generator::seeded(seed);
    let place = Place::new();
    // What each caller was told last: its count, and the revision.
    let mut told: HashMap<u64, (u64, Revision)> = HashMap::new();
    let mut acknowledged: Revision = 0;
    for run in 0..runs {
        let mut process = Child::start("kill::child_writes", place.path());
        // Some are killed while they open the folder, or make it.
        let lines = [0, random.below(100), random.below(3_000)][random.below(3) as usize];
        for _ in 0..lines {
            note(&process.line().expect("the child goes on"), &mut told);
        }
        process.kill();
        while let Some(line) = process.line() {
            note(&line, &mut told);
        }
        acknowledged = told.values().map(|(_, revision)| *revision).fold(acknowledged, Revision::max);
        let store = open(place.path());
        verify(&store, &told, acknowledged).await.unwrap_or_else(|lost| panic!("run {run} of seed {seed}: {lost}"));
        // What is there is acknowledged from now on, by having been read.
        told = found(&store).await;
        acknowledged = store.revision().await.expect("a revision");
        let before = picture(&store).await;
        drop(store);
        assert_eq!(picture(&open(place.path())).await, before, "run {run} of seed {seed}");
    }
    println!("{runs} kills, {acknowledged} revisions acknowledged");
}

/// What the callers have done, as if they had been told.
async fn found(store: &DurableStore) -> HashMap<u64, (u64, Revision)> {
    let entries = state(store, store.revision().await.expect("a revision")).await;
    let of_caller = |entry: KeyValue| {
        let caller = entry.key.strip_prefix("/caller/")?.parse().expect("a number");
        Some((caller, (count(&entry.value), entry.mod_revision)))
    };
    entries.into_iter().filter_map(of_caller).collect()
}

/// Takes what a child told: a caller, its count, the revision.
fn note(line: &str, told: &mut HashMap<u64, (u64, Revision)>) {
    let mut numbers = line.split(' ').map(|word| word.parse::<u64>().expect("a number"));
    let mut next = || numbers.next().expect("three numbers");
    let (caller, count, revision) = (next(), next(), next());
    told.insert(caller, (count, revision));
}

/// That all that was told is there, and that what is there is a past that callers can have made.
async fn verify(
    store: &DurableStore,
    told: &HashMap<u64, (u64, Revision)>,
    acknowledged: Revision,
) -> Result<(), String> {
    let newest = store.revision().await.expect("a revision");
    if newest < acknowledged {
        return Err(format!("{acknowledged} was acknowledged, {newest} is there"));
    }
    for (caller, (last, revision)) in told {
        let key = format!("/caller/{caller}");
        let now = store.get(&key, ReadAt::Latest).await.expect("a read").ok_or(format!("{key} is gone"))?;
        // What the caller asked for next may have happened.
        if ![*last, last + 1].contains(&count(&now.value)) {
            return Err(format!("{key} is {} after {last} was acknowledged", count(&now.value)));
        }
        match store.get(&key, ReadAt::Revision(*revision)).await {
            Ok(Some(then)) if then.mod_revision == *revision && count(&then.value) == *last => {}
            Err(StoreError::Compacted { .. }) => {}
            other => return Err(format!("{last} of {key} was acknowledged at {revision}, where {other:?} is")),
        }
    }
    verify_history(store, newest).await
}

/// Every revision once, each caller's counts one after the other, both keys of a transaction together.
async fn verify_history(store: &DurableStore, newest: Revision) -> Result<(), String> {
    let oldest = match store.get("/caller/0", ReadAt::Revision(0)).await {
        Err(StoreError::Compacted { oldest, .. }) => oldest,
        _ => 1,
    };
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut reached = oldest - 1;
    let events = events(store, reached, newest).await;
    for pair in events.chunks(2) {
        let [Event::Put { current: count_of, previous }, other] = pair else { return Err(format!("{pair:?}")) };
        if count_of.mod_revision != reached + 1 || other.revision() != reached + 1 {
            return Err(format!("after revision {reached} comes {}", count_of.mod_revision));
        }
        reached += 1;
        let now = count(&count_of.value);
        let before = previous.as_ref().map(|previous| count(&previous.value));
        let known = counts.insert(count_of.key.to_string(), now);
        if now != before.map_or(0, |before| before + 1) || known.is_some_and(|known| Some(known) != before) {
            return Err(format!("{} goes from {known:?} to {now}, and {before:?} was before", count_of.key));
        }
        let of_the_same = match other {
            Event::Put { current, .. } => current.value == count_of.value,
            Event::Delete { .. } => now % 5 == 4,
        };
        if !of_the_same {
            return Err(format!("revision {reached} is half of a transaction"));
        }
    }
    if reached == newest { Ok(()) } else { Err(format!("the history ends at {reached}, not at {newest}")) }
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_writes() {
    let Some(folder) = child::folder() else { return };
    let store = open(&folder);
    let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(call(store.clone(), caller))).collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

/// Counts, with a second key that follows, and is deleted with every fifth. It ends with the process, or the parent.
async fn call(store: DurableStore, caller: u64) {
    let (own, other) = (format!("/caller/{caller}"), format!("/other/{caller}"));
    let mut last = store.get(&own, ReadAt::Latest).await.expect("a read");
    loop {
        let next = last.as_ref().map_or(0, |last| count(&last.value) + 1);
        let unchanged = last.as_ref().map_or(Precondition::Absent, |last| Precondition::Unchanged(last.mod_revision));
        let transaction = Transaction::new().put(&*own, value(next), unchanged);
        let transaction = match next % 5 {
            4 => transaction.delete(&*other, Precondition::Exists),
            _ if next % 7 == 3 => {
                transaction.put_with_ttl(&*other, value(next), Precondition::None, Duration::from_secs(3600))
            }
            _ => transaction.put(&*other, value(next), Precondition::None),
        };
        let revision = store.commit(transaction).await.expect("nobody else writes these keys");
        child::tell(&format!("{caller} {next} {revision}"));
        last = store.get(&own, ReadAt::Latest).await.expect("a read");
    }
}
