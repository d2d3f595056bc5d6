//! Time to live. The times are whole seconds and no shorter than two, as etcd's leases are. What expires is waited for in a
//! watch, so that a store that is quick is checked quickly.

use std::time::Duration;

use orchestra_core::store::{Event, KeyRange, Precondition, ReadAt, Revision, Transaction};
use tokio::time::Instant;

use super::{
    Check, Subject, Violation, check, ensure,
    read::{delete, listed, put, value},
    tail::{Tail, summary},
};

pub(super) const CHECKS: &[Check] = &[
    check!("ttl", key_expires_in_time),
    check!("ttl", expired_key_is_not_read),
    check!("ttl", later_put_replaces_the_time),
    check!("ttl", later_put_removes_the_time),
    check!("ttl", time_ends_with_the_key),
    check!("ttl", endless_time_is_no_error),
];

const TTL: Duration = Duration::from_secs(2);
/// How late the store may be, and the machine on top.
const LATE: Duration = Duration::from_millis(5500);

async fn put_for(store: &Subject, key: &str, ttl: Duration) -> Result<Revision, Violation> {
    Ok(store.commit(Transaction::new().put_with_ttl(key, "x", Precondition::None, ttl)).await?)
}

fn range() -> KeyRange {
    KeyRange::prefix("/t/")
}

async fn tail(store: &Subject) -> Result<Tail, Violation> {
    Tail::start(store, range(), store.revision().await?).await
}

/// The keys that are deleted from now on up to `last`, which expires.
async fn gone_until(last: &str, tail: &mut Tail) -> Result<Vec<String>, Violation> {
    let begun = Instant::now();
    let mut gone = Vec::new();
    while !gone.iter().any(|key| key == last) {
        let deleted = tail.next().await??.events.into_iter().filter(|event| matches!(event, Event::Delete { .. }));
        gone.extend(deleted.map(|event| event.key().to_string()));
        let waited = begun.elapsed();
        ensure!(waited <= TTL + LATE, "{last}, with a ttl of {TTL:?}, is there for {waited:?}");
    }
    Ok(gone)
}

/// An expired key is deleted, not early and at most five seconds late, without anybody asking; watchers see the deletion with
/// the last value, at a revision later than the put's.
pub async fn key_expires_in_time(store: Subject) -> Result<(), Violation> {
    let mut tail = tail(&store).await?;
    let before = Instant::now();
    let both = Transaction::new()
        .put_with_ttl("/t/a", "x", Precondition::None, TTL)
        .put_with_ttl("/t/b", "x", Precondition::None, TTL)
        .put("/t/stays", "x", Precondition::None);
    let revision = store.commit(both).await?;
    let after = Instant::now();
    let created = tail.take(3).await?;
    let events = tail.take(2).await?;
    let (least, most) = (after.elapsed(), before.elapsed());
    ensure!(most >= TTL, "keys with a ttl of {TTL:?} are gone after {most:?}");
    ensure!(least <= TTL + LATE, "keys with a ttl of {TTL:?} are there for {least:?}");
    let mut gone = Vec::new();
    for event in &events {
        let Event::Delete { previous, revision: at } = event else {
            return Err(Violation::new(format!("expiry is seen as {}", summary(&events))));
        };
        ensure!(*at > revision, "keys put at {revision} expire at {}", summary(&events));
        let known = created.iter().any(|c| matches!(c, Event::Put { current, .. } if current == previous));
        ensure!(known, "expiry tells {previous:?} as the last value");
        gone.push(&*previous.key);
    }
    gone.sort_unstable();
    ensure!(gone == ["/t/a", "/t/b"], "{gone:?} expired, not /t/a and /t/b");
    let left = listed(&store, &range(), ReadAt::Latest).await?;
    ensure!(left == ["/t/stays=x"], "after the expiries {left:?} is there");
    Ok(())
}

/// From its deletion on, an expired key is in no read of the latest state and holds for no precondition; the states before
/// still have it.
pub async fn expired_key_is_not_read(store: Subject) -> Result<(), Violation> {
    let mut tail = tail(&store).await?;
    let revision = put_for(&store, "/t/a", TTL).await?;
    ensure!(value(&store, "/t/a", ReadAt::Latest).await?.is_some(), "a key with a ttl is not there at once");
    gone_until("/t/a", &mut tail).await?;
    let got = value(&store, "/t/a", ReadAt::Latest).await?;
    ensure!(got.is_none(), "an expired key is read");
    let left = listed(&store, &range(), ReadAt::Latest).await?;
    ensure!(left.is_empty(), "expired keys are listed: {left:?}");
    let old = value(&store, "/t/a", ReadAt::Revision(revision)).await?;
    ensure!(old.as_deref() == Some("x"), "a key that expired later is {old:?} at the revision of its put");
    let created = store.commit(Transaction::new().put("/t/a", "y", Precondition::Absent)).await;
    ensure!(created.is_ok(), "an expired key cannot be made anew: {created:?}");
    Ok(())
}

/// A later put with a ttl counts from then.
pub async fn later_put_replaces_the_time(store: Subject) -> Result<(), Violation> {
    let mut tail = tail(&store).await?;
    put_for(&store, "/t/longer", TTL).await?;
    put_for(&store, "/t/shorter", 60 * TTL).await?;
    put_for(&store, "/t/longer", 60 * TTL).await?;
    put_for(&store, "/t/shorter", TTL).await?;
    // The former time of the longer one was up before that of the shorter one.
    let gone = gone_until("/t/shorter", &mut tail).await?;
    ensure!(gone == ["/t/shorter"], "after the ttl of one was shortened, of one lengthened, {gone:?} expired");
    let left = listed(&store, &range(), ReadAt::Latest).await?;
    ensure!(left == ["/t/longer=x"], "after the ttl of one was shortened, of one lengthened, {left:?} is left");
    Ok(())
}

/// A later put without a ttl makes the key stay.
pub async fn later_put_removes_the_time(store: Subject) -> Result<(), Violation> {
    let mut tail = tail(&store).await?;
    put_for(&store, "/t/a", TTL).await?;
    put(&store, "/t/a", "stays").await?;
    put_for(&store, "/t/later", TTL).await?;
    let gone = gone_until("/t/later", &mut tail).await?;
    let left = listed(&store, &range(), ReadAt::Latest).await?;
    ensure!(left == ["/t/a=stays"], "after a put without ttl {gone:?} expired and {left:?} is left");
    Ok(())
}

/// The ttl of a key that was deleted does not end a later key of that name.
pub async fn time_ends_with_the_key(store: Subject) -> Result<(), Violation> {
    put_for(&store, "/t/a", TTL).await?;
    delete(&store, "/t/a").await?;
    put(&store, "/t/a", "again").await?;
    let mut tail = tail(&store).await?;
    let later = put_for(&store, "/t/later", TTL).await?;
    let gone = gone_until("/t/later", &mut tail).await?;
    let left = listed(&store, &range(), ReadAt::Latest).await?;
    ensure!(left == ["/t/a=again"], "of a key deleted and made anew {left:?} is left, {gone:?} expired");
    let now = store.revision().await?;
    ensure!(now == later + 1, "the ttl of a deleted key moved the revision from {later} to {now}");
    Ok(())
}

/// A ttl longer than any clock counts is kept as good as for ever.
pub async fn endless_time_is_no_error(store: Subject) -> Result<(), Violation> {
    put_for(&store, "/t/a", Duration::MAX).await?;
    let got = value(&store, "/t/a", ReadAt::Latest).await?;
    ensure!(got.is_some(), "a key with the longest ttl is not there");
    Ok(())
}
