//! Concurrent calls: each seems to happen at one instant between its beginning and its answer. Random short histories are
//! judged by [stateright](https://docs.rs/stateright)'s checker.

use std::{fmt::Write, sync::Arc};

use orchestra_core::{
    random::Generator,
    store::{Key, KeyRange, Precondition, Revision, StoreError, Transaction},
};
use parking_lot::Mutex;
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

use super::{
    Check, Subject, Violation, check,
    concurrency::together,
    ensure,
    specification::{Answer, Call, Specification, Told, in_words},
};

pub(super) const CHECKS: &[Check] = &[check!("linearizability", concurrent_calls_have_an_order)];

const ROUNDS: u64 = 60;
/// Few, as the checker tries every order that the history allows.
const TASKS: usize = 4;
const CALLS: usize = 6;
const KEYS: u64 = 2;

/// Whatever several tasks do at once, there is an order of their calls in which each has the answer that a store without
/// concurrency gives, and in which a call that was answered before another began comes first. A commit with an unknown
/// outcome may come anywhere after it began, or never.
pub async fn concurrent_calls_have_an_order(store: Subject) -> Result<(), Violation> {
    for round in 0..ROUNDS {
        let start = store.revision().await?;
        let history = Arc::new(History::default());
        together(TASKS, |task| {
            let caller = Caller::new(round, task, Arc::clone(&history));
            Box::pin(caller.run(Arc::clone(&store)))
        })
        .await?;
        history.judge(start)?;
    }
    Ok(())
}

/// One task's part of a round.
struct Caller {
    generator: Generator,
    round: u64,
    task: usize,
    history: Arc<History>,
    /// The newest revision that it was told of a key: what it bases its changes on.
    known: Revision,
}

impl Caller {
    fn new(round: u64, task: usize, history: Arc<History>) -> Self {
        let generator = Generator::seeded(round * TASKS as u64 + task as u64);
        Self { generator, round, task, history, known: 0 }
    }

    async fn run(mut self, store: Subject) -> Result<(), Violation> {
        let mut process = self.task;
        for number in 0..CALLS {
            for _ in 0..self.generator.below(3) {
                tokio::task::yield_now().await;
            }
            let call = self.call(number);
            let place = self.history.begin(process, call.clone());
            let answer = call.make(&*store).await;
            self.learn(&answer);
            match answer {
                // It may happen at any time from now on: who goes on is somebody else.
                Err(StoreError::OutcomeUnknown(_)) => process += TASKS,
                Err(StoreError::Unavailable(_)) => self.history.forget(place),
                answer @ (Ok(_) | Err(StoreError::Conflict { .. })) => self.history.end(place, process, answer),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn learn(&mut self, answer: &Answer) {
        let entry = match answer {
            Ok(Told::Entry(entry)) => entry.as_ref(),
            Ok(Told::Page(entries, _)) => entries.last(),
            Err(StoreError::Conflict { current, .. }) => current.as_ref(),
            _ => None,
        };
        if let Some(entry) = entry {
            self.known = entry.mod_revision;
        }
    }

    fn key(&self) -> Key {
        format!("/l/{}/{}", self.round, self.generator.below(KEYS)).into()
    }

    fn call(&self, number: usize) -> Call {
        match self.generator.below(10) {
            0..=2 => Call::Get(self.key()),
            3..=4 => Call::List(KeyRange::prefix(&format!("/l/{}/", self.round))),
            5 => Call::Revision,
            6 => Call::Commit(Transaction::new().check(self.key(), self.precondition())),
            _ => Call::Commit(self.change(number)),
        }
    }

    /// A change that no other is like, so that a store that reads back what became of it can tell.
    fn change(&self, number: usize) -> Transaction {
        let value = format!("{}.{number}", self.task);
        let (key, other) = (self.key(), self.key());
        match self.generator.below(3) {
            0 if key != other => {
                let delete = Transaction::new().delete(key, self.precondition());
                delete.put(other, value, Precondition::None)
            }
            1 if key != other => {
                Transaction::new().put(key, value.clone(), self.precondition()).put(other, value, self.precondition())
            }
            _ => Transaction::new().put(key, value, self.precondition()),
        }
    }

    fn precondition(&self) -> Precondition {
        match self.generator.below(5) {
            0 => Precondition::Absent,
            1 => Precondition::Exists,
            2 => Precondition::None,
            _ => Precondition::Unchanged(self.known),
        }
    }
}

/// What happened, in the order in which it did.
#[derive(Default)]
struct History {
    moments: Mutex<Vec<Moment>>,
}

enum Moment {
    Begin(usize, Call),
    /// Whose call, which began at this place, was answered with what.
    End(usize, usize, Answer),
    /// A call that was not made.
    Nothing,
}

impl History {
    /// The place of the call's beginning.
    fn begin(&self, process: usize, call: Call) -> usize {
        let mut moments = self.moments.lock();
        moments.push(Moment::Begin(process, call));
        moments.len() - 1
    }

    fn end(&self, place: usize, process: usize, answer: Answer) {
        self.moments.lock().push(Moment::End(place, process, answer));
    }

    fn forget(&self, place: usize) {
        self.moments.lock()[place] = Moment::Nothing;
    }

    fn judge(&self, start: Revision) -> Result<(), Violation> {
        let mut tester = LinearizabilityTester::new(Specification::empty_at(start));
        for moment in &*self.moments.lock() {
            let noted = match moment {
                Moment::Begin(process, call) => tester.on_invoke(*process, call.clone()),
                Moment::End(_, process, answer) => tester.on_return(*process, answer.clone()),
                Moment::Nothing => continue,
            };
            noted.map(|_| ()).map_err(Violation::new)?;
        }
        ensure!(
            tester.is_consistent(),
            "no order explains what was answered from revision {start} on:{}",
            self.in_words()
        );
        Ok(())
    }

    /// A line for each call: who, from when to when, what, and the answer.
    fn in_words(&self) -> String {
        let moments = self.moments.lock();
        let mut words = String::new();
        for (begun, moment) in moments.iter().enumerate() {
            let Moment::Begin(process, call) = moment else { continue };
            let end = moments.iter().enumerate().find_map(|(at, moment)| match moment {
                Moment::End(place, _, answer) if *place == begun => Some((at, answer)),
                _ => None,
            });
            let _ = match end {
                Some((at, answer)) => write!(words, "\n{begun}..{at} task {process}: {call} -> {}", in_words(answer)),
                None => write!(words, "\n{begun}.. task {process}: {call} -> unknown"),
            };
        }
        words
    }
}
