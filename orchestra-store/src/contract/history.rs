//! Watches and old states against the history: what was committed, as the tasks that committed it were told.

use std::{collections::BTreeMap, sync::Arc};

use orchestra_core::{
    random::Generator,
    store::{Change, Event, Key, KeyRange, KeyValue, ListOptions, Precondition, ReadAt, Revision, Transaction},
};
use tokio::sync::watch::{Receiver, Sender};

use super::{
    Check, Subject, Violation, check,
    concurrency::{finished, together},
    ensure,
    tail::{Tail, summary},
};

pub(super) const CHECKS: &[Check] =
    &[check!("history", watchers_see_the_history), check!("history", history_explains_every_state)];

const TASKS: usize = 4;
const ROUNDS: u64 = 25;
const WATCHERS: u64 = 12;
const KEYS: u64 = 9;

fn key(number: u64) -> Key {
    format!("/w/{number}").into()
}

/// Ranges of every form; each has at least one of the keys.
fn ranges() -> [KeyRange; 6] {
    [
        KeyRange::prefix("/w/"),
        KeyRange::prefix(""),
        KeyRange::single(&key(4)),
        KeyRange::between(key(2), Some(key(6))),
        KeyRange::between(key(5), None),
        KeyRange::prefix(&key(8)),
    ]
}

type Commits = BTreeMap<Revision, Transaction>;

/// Random commits by several tasks on few keys, all of which change something.
async fn churn(store: &Subject, seed: u64) -> Result<Commits, Violation> {
    let tasks = together(TASKS, |task| {
        let store = Arc::clone(store);
        Box::pin(async move {
            let generator = Generator::seeded(seed + task as u64);
            let mut told = Vec::new();
            for round in 0..ROUNDS {
                let transaction = random(&generator, &format!("{task}.{round}"));
                told.push((store.commit(transaction.clone()).await?, transaction));
                tokio::task::yield_now().await;
            }
            Ok(told)
        })
    });
    let told = tasks.await?.concat();
    let count = told.len();
    let commits: Commits = told.into_iter().collect();
    ensure!(commits.len() == count, "{count} commits were told {} revisions", commits.len());
    Ok(commits)
}

fn random(generator: &Generator, value: &str) -> Transaction {
    let put = |transaction: Transaction, key| transaction.put(key, value.to_owned(), Precondition::None);
    let among = |third: u64| key(3 * generator.below(KEYS / 3) + third);
    let first = generator.below(3);
    let transaction = put(Transaction::new(), among(first));
    [(first + 1) % 3, (first + 2) % 3].into_iter().fold(transaction, |transaction, third| match generator.below(4) {
        0 | 1 => transaction.delete(among(third), Precondition::None),
        2 => transaction.check(among(third), Precondition::None),
        _ => put(transaction, among(third)),
    })
}

/// Puts every key, so that every range has an event by which its watchers know that they have seen all.
async fn finish(store: &Subject, commits: &mut Commits) -> Result<Revision, Violation> {
    let all = (0..KEYS).fold(Transaction::new(), |all, number| all.put(key(number), "end", Precondition::None));
    let end = store.commit(all.clone()).await?;
    commits.insert(end, all);
    Ok(end)
}

/// What a sequence of commits does to keys that were not there before.
#[derive(Default)]
struct Model {
    keys: BTreeMap<Key, KeyValue>,
}

impl Model {
    /// Does a transaction without preconditions; the events that it makes.
    fn apply(&mut self, revision: Revision, transaction: &Transaction) -> Vec<Event> {
        let mut events = Vec::new();
        for operation in transaction.operations() {
            let key = Key::clone(&operation.key);
            match &operation.change {
                Change::Nothing => {}
                Change::Put { value, .. } => {
                    let previous = self.keys.get(&key).cloned();
                    let create_revision = previous.as_ref().map_or(revision, |previous| previous.create_revision);
                    let (value, mod_revision) = (value.clone(), revision);
                    let current = KeyValue { key: Key::clone(&key), value, create_revision, mod_revision };
                    self.keys.insert(key, current.clone());
                    events.push(Event::Put { current, previous });
                }
                Change::Delete => {
                    events.extend(self.keys.remove(&key).map(|previous| Event::Delete { previous, revision }));
                }
            }
        }
        events
    }
}

/// What one watch, however often it was cut and resumed, has delivered.
struct Seen {
    range: KeyRange,
    after: Revision,
    through: Revision,
    events: Vec<Event>,
}

/// While much is committed, watches of any range, from now or from any revision of the past, cut and resumed after any batch,
/// see every change of their range that was committed, once, in order, and with the value before it.
pub async fn watchers_see_the_history(store: Subject) -> Result<(), Violation> {
    let start = store.revision().await?;
    let end_known = Sender::new(None);
    let watchers: Vec<_> =
        (0..WATCHERS).map(|seed| tokio::spawn(watch(Arc::clone(&store), start, seed, end_known.subscribe()))).collect();
    let mut commits = churn(&store, 0).await?;
    end_known.send_replace(Some(finish(&store, &mut commits).await?));
    let mut model = Model::default();
    let history: Vec<Event> = commits.iter().flat_map(|(at, transaction)| model.apply(*at, transaction)).collect();
    for watcher in watchers {
        for seen in finished(watcher).await? {
            seen.compare(&history)?;
        }
    }
    Ok(())
}

impl Seen {
    fn compare(&self, history: &[Event]) -> Result<(), Violation> {
        let Self { range, after, through, events } = self;
        let is_due =
            |event: &&Event| range.contains(event.key()) && event.revision() > *after && event.revision() <= *through;
        let due: Vec<&Event> = history.iter().filter(is_due).collect();
        let same = events.iter().zip(&due).take_while(|(got, due)| got == *due).count();
        let (got, expected) = (events.get(same), due.get(same).copied());
        let in_words = |event: Option<&Event>| event.map_or("nothing".to_owned(), |event| format!("{event:?}"));
        ensure!(
            got.is_none() && expected.is_none(),
            "a watch of {range:?} after {after} through {through} has, as event {same}, {} where {} was committed; it has {}",
            in_words(got),
            in_words(expected),
            summary(events)
        );
        Ok(())
    }
}

/// Watches until the end, as chance has it: from where, what, and when to cut the watch, to resume it or begin in the past.
async fn watch(
    store: Subject,
    start: Revision,
    seed: u64,
    mut end: Receiver<Option<Revision>>,
) -> Result<Vec<Seen>, Violation> {
    let generator = Generator::seeded(1_000 + seed);
    let pause = async || {
        for _ in 0..generator.below(20) {
            tokio::task::yield_now().await;
        }
    };
    pause().await;
    let range = ranges()[(seed % ranges().len() as u64) as usize].clone();
    let begin = |newest: Revision| start + generator.below(newest - start + 1);
    let mut after = begin(store.revision().await?);
    let mut tail = Tail::start(&store, range.clone(), after).await?;
    let (mut all, mut events) = (Vec::new(), Vec::new());
    loop {
        let known_end = *end.borrow_and_update();
        if known_end.is_some_and(|end| tail.after() >= end) {
            all.push(Seen { range, after, through: tail.after(), events });
            return Ok(all);
        }
        tokio::select! {
            batch = tail.next() => events.extend(batch??.events),
            Ok(()) = end.changed(), if known_end.is_none() => {}
        }
        let mut resume = tail.after();
        match generator.below(8) {
            0 => {
                // Only what comes after the start is known.
                all.push(Seen { range: range.clone(), after, through: resume, events: std::mem::take(&mut events) });
                after = begin(resume);
                resume = after;
            }
            1 | 2 => {}
            _ => continue,
        }
        drop(tail);
        pause().await;
        tail = Tail::start(&store, range.clone(), resume).await?;
    }
}

/// The commits, done one after the other, give the state that a list at each revision shows.
pub async fn history_explains_every_state(store: Subject) -> Result<(), Violation> {
    let mut commits = churn(&store, 100).await?;
    finish(&store, &mut commits).await?;
    let mut model = Model::default();
    for (revision, transaction) in &commits {
        model.apply(*revision, transaction);
        for range in ranges() {
            let options = ListOptions { at: ReadAt::Revision(*revision), ..ListOptions::default() };
            let listed = store.list(&range, options).await?.entries;
            let due: Vec<&KeyValue> = model.keys.values().filter(|entry| range.contains(&entry.key)).collect();
            let same = listed.iter().eq(due.iter().copied());
            ensure!(same, "at {revision} a list of {range:?} gives {listed:?}, the history {due:?}");
        }
    }
    Ok(())
}
