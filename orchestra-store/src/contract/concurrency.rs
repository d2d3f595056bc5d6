//! Many tasks at once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use futures::future::{BoxFuture, try_join_all};
use orchestra_core::{
    random::Generator,
    store::{KeyRange, ListOptions, Precondition, ReadAt, Revision, StoreError, Transaction},
};
use tokio::task::JoinHandle;

use super::{Check, Subject, Violation, check, ensure, read::put};

pub(super) const CHECKS: &[Check] = &[
    check!("concurrency", no_increment_is_lost),
    check!("concurrency", commits_have_revisions_of_their_own),
    check!("concurrency", transfers_keep_the_sum),
    check!("concurrency", reads_see_what_was_acknowledged),
];

const TASKS: usize = 8;
const ROUNDS: usize = 25;

/// Runs `count` tasks; the first violation of any.
pub(super) async fn together<T: Send + 'static>(
    count: usize,
    task: impl Fn(usize) -> BoxFuture<'static, Result<T, Violation>>,
) -> Result<Vec<T>, Violation> {
    try_join_all((0..count).map(|i| finished(tokio::spawn(task(i))))).await
}

pub(super) async fn finished<T>(task: JoinHandle<Result<T, Violation>>) -> Result<T, Violation> {
    task.await.unwrap_or_else(|panic| Err(Violation::new(format!("the store panicked: {panic}"))))
}

/// The number that a value begins with. What follows it tells whose it is: that writes that race differ lets a store that
/// reads back what became of them tell them apart.
fn number(bytes: &[u8]) -> u64 {
    let first = std::str::from_utf8(bytes).ok().and_then(|text| text.split(' ').next());
    first.and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}

/// Tasks that increment a counter by compare-and-set lose nothing, and each success is at a revision of its own.
pub async fn no_increment_is_lost(store: Subject) -> Result<(), Violation> {
    put(&store, "/n", "0").await?;
    let revisions = together(TASKS, |task| Box::pin(increment(Arc::clone(&store), task))).await?;
    let mut revisions: Vec<Revision> = revisions.concat();
    revisions.sort_unstable();
    let count = revisions.len();
    revisions.dedup();
    ensure!(revisions.len() == count, "{count} increments were acknowledged at {} revisions", revisions.len());
    let end = store.get("/n", ReadAt::Latest).await?.map(|entry| number(&entry.value));
    ensure!(end == Some(count as u64), "{count} increments were acknowledged, the counter is {end:?}");
    Ok(())
}

async fn increment(store: Subject, task: usize) -> Result<Vec<Revision>, Violation> {
    let mut done = Vec::new();
    while done.len() < ROUNDS {
        let Some(entry) = store.get("/n", ReadAt::Latest).await? else {
            return Err(Violation::new("the counter is not there"));
        };
        // Others get their chance between the read and the write.
        tokio::task::yield_now().await;
        let next = format!("{} by {task}", number(&entry.value).wrapping_add(1));
        let unchanged = Precondition::Unchanged(entry.mod_revision);
        match store.commit(Transaction::new().put("/n", next, unchanged)).await {
            Ok(revision) => done.push(revision),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

/// No two commits share a revision, none is skipped, and each entry has the revision that its commit was told.
pub async fn commits_have_revisions_of_their_own(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let told = together(TASKS, |task| {
        let store = Arc::clone(&store);
        Box::pin(async move {
            let mut told = Vec::new();
            for round in 0..ROUNDS {
                let key = format!("/{task}/{round}");
                told.push((put(&store, &key, "x").await?, key));
                tokio::task::yield_now().await;
            }
            Ok(told)
        })
    })
    .await?;
    let told: BTreeMap<Revision, String> = told.into_iter().flatten().collect();
    let expected = start + 1..=start + (TASKS * ROUNDS) as Revision;
    ensure!(told.keys().copied().eq(expected.clone()), "commits were told revisions {:?}", told.keys());
    for (revision, key) in told {
        let at = store.get(&key, ReadAt::Latest).await?.map(|entry| entry.mod_revision);
        ensure!(at == Some(revision), "{key} has mod_revision {at:?}, its commit was told {revision}");
    }
    Ok(())
}

const ACCOUNTS: u64 = 4;
const EACH: u64 = 100;

/// Transfers between accounts never show half done, in a list at any time.
pub async fn transfers_keep_the_sum(store: Subject) -> Result<(), Violation> {
    let opened =
        (0..ACCOUNTS).fold(Transaction::new(), |t, i| t.put(format!("/s/{i}"), EACH.to_string(), Precondition::Absent));
    store.commit(opened).await?;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2).map(|_| tokio::spawn(sum_while(Arc::clone(&store), Arc::clone(&done)))).collect();
    let moved = together(TASKS / 2, |task| Box::pin(transfer(Arc::clone(&store), task as u64))).await;
    done.store(true, Ordering::Release);
    for reader in readers {
        finished(reader).await?;
    }
    moved?;
    sum(&store).await
}

async fn transfer(store: Subject, seed: u64) -> Result<(), Violation> {
    let generator = Generator::seeded(seed);
    let mut done = 0;
    while done < ROUNDS {
        let from = generator.below(ACCOUNTS);
        let to = (from + 1 + generator.below(ACCOUNTS - 1)) % ACCOUNTS;
        let (from, to) = (format!("/s/{from}"), format!("/s/{to}"));
        let (Some(a), Some(b)) = (store.get(&from, ReadAt::Latest).await?, store.get(&to, ReadAt::Latest).await?)
        else {
            return Err(Violation::new("an account is gone"));
        };
        let (less, more) = (number(&a.value).saturating_sub(1), number(&b.value).saturating_add(1));
        if number(&a.value) == 0 {
            continue;
        }
        tokio::task::yield_now().await;
        let swap = Transaction::new()
            .put(from, format!("{less} by {seed}"), Precondition::Unchanged(a.mod_revision))
            .put(to, format!("{more} by {seed}"), Precondition::Unchanged(b.mod_revision));
        match store.commit(swap).await {
            Ok(_) => done += 1,
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn sum(store: &Subject) -> Result<(), Violation> {
    let page = store.list(&KeyRange::prefix("/s/"), ListOptions::default()).await?;
    let sum = page.entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(number(&entry.value)));
    ensure!(sum == ACCOUNTS * EACH, "at revision {} the accounts hold {sum}: {:?}", page.revision, page.entries);
    Ok(())
}

async fn sum_while(store: Subject, done: Arc<AtomicBool>) -> Result<(), Violation> {
    while !done.load(Ordering::Acquire) {
        sum(&store).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// What one task was told, another sees: no read of the latest state is older than a commit acknowledged before it began,
/// and no task sees the store go back.
pub async fn reads_see_what_was_acknowledged(store: Subject) -> Result<(), Violation> {
    let acknowledged = Arc::new(AtomicU64::new(put(&store, "/r", "0").await?));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..TASKS / 2)
        .map(|_| tokio::spawn(never_older(Arc::clone(&store), Arc::clone(&acknowledged), Arc::clone(&done))))
        .collect();
    let written = together(TASKS / 2, |task| {
        let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
        Box::pin(async move {
            for round in 0..2 * ROUNDS {
                let revision = put(&store, "/r", &format!("{round} by {task}")).await?;
                acknowledged.fetch_max(revision, Ordering::AcqRel);
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    })
    .await;
    done.store(true, Ordering::Release);
    for reader in readers {
        finished(reader).await?;
    }
    written.map(|_| ())
}

async fn never_older(store: Subject, acknowledged: Arc<AtomicU64>, done: Arc<AtomicBool>) -> Result<(), Violation> {
    let mut last = 0;
    loop {
        let finished = done.load(Ordering::Acquire);
        let least = last.max(acknowledged.load(Ordering::Acquire));
        let got = store.get("/r", ReadAt::Latest).await?.map_or(0, |entry| entry.mod_revision);
        ensure!(got >= least, "a get sees revision {got} of a key after {least} was acknowledged or seen");
        let revision = store.revision().await?;
        ensure!(revision >= got, "the store is at {revision} after {got} was seen");
        let page = store.list(&KeyRange::single("/r"), ListOptions::default()).await?;
        let listed = page.entries.first().map_or(0, |entry| entry.mod_revision);
        ensure!(page.revision >= revision, "a list is of revision {} after {revision} was told", page.revision);
        ensure!(listed >= got, "a list sees revision {listed} of a key after {got} was seen");
        last = listed;
        if finished {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}
