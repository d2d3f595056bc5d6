//! A group: the transactions that share one write.

use orchestra_core::store::{Revision, StoreError};

use tokio::runtime::Handle;

use super::{
    chunk::{Chunk, Packer},
    engine::{Position, Snapshot},
    queue::{Reply, Request},
    record::Record,
};
use crate::mvcc::{Draft, Drafted, State};

/// How many answers are given without more ado.
const FEW: usize = 4;

/// Requests that are judged, each on top of those before it. Nobody hears of it before it is durable, not even those who are
/// refused: what refuses them may be of the group.
pub(super) struct Group {
    steps: Vec<Step>,
    answers: Vec<Answer>,
    /// What the store reaches to after it.
    position: Position,
}

enum Step {
    Batch(Drafted),
    Compact(Revision),
}

enum Answer {
    Revision(Reply<Revision>, Result<Revision, StoreError>),
    Done(Reply<()>, Result<(), StoreError>),
    Snapshot(Reply<Snapshot>),
}

impl Group {
    pub(super) fn judge(state: &State, requests: Vec<Request>) -> Self {
        state.touch(requests.iter().flat_map(Request::keys));
        let mut draft = Draft::new(state, requests.len());
        let mut oldest = state.oldest();
        let mut steps: Vec<Step> = draft.expire().into_iter().map(Step::Batch).collect();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            answers.push(match request {
                Request::Commit(transaction, reply) => {
                    let outcome = draft.commit(transaction).map(|drafted| steps.extend(drafted.map(Step::Batch)));
                    Answer::Revision(reply, outcome.map(|()| draft.revision()))
                }
                Request::Compact(requested, reply) if requested > draft.revision() => {
                    let current = draft.revision();
                    Answer::Done(reply, Err(StoreError::FutureRevision { requested, current }))
                }
                Request::Compact(revision, reply) => {
                    if revision > oldest {
                        oldest = revision;
                        steps.push(Step::Compact(revision));
                    }
                    Answer::Done(reply, Ok(()))
                }
                Request::Expire(reply) => Answer::Done(reply, Ok(())),
                Request::Snapshot(reply) => Answer::Snapshot(reply),
            });
        }
        Self { steps, answers, position: Position { revision: draft.revision(), oldest } }
    }

    /// Whether there is anything to write.
    pub(super) fn changes(&self) -> bool {
        !self.steps.is_empty()
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// Its changes as they are written; `now` is in milliseconds since 1970.
    pub(super) fn chunks(&self, now: i64) -> Vec<Chunk> {
        let mut packer = Packer::default();
        for step in &self.steps {
            let Step::Batch(Drafted { revision, writes }) = step else { continue };
            for (write, change) in writes.iter().zip(0..) {
                packer.push(&Record::new((*revision, change), write, now));
            }
        }
        packer.finish()
    }

    /// Makes the changes visible.
    pub(super) fn apply(&mut self, state: &mut State) {
        for step in self.steps.drain(..) {
            match step {
                Step::Batch(Drafted { revision, writes }) => {
                    state.apply(revision, writes.into_iter().map(|drafted| drafted.write));
                }
                // It was judged to be of the past.
                Step::Compact(revision) => state.compact(revision).unwrap_or_default(),
            }
        }
    }

    /// Answers everybody; nobody minds an answer that is not waited for any more.
    pub(super) fn answer(self, mut snapshot: impl FnMut() -> Result<Snapshot, StoreError>) {
        let mut answers = Vec::with_capacity(self.answers.len());
        for answer in self.answers {
            match answer {
                Answer::Snapshot(reply) => drop(reply.send(snapshot())),
                answer => answers.push(answer),
            }
        }
        match Handle::try_current() {
            // Each answer from a thread that is not of the runtime would wake one that is.
            Ok(runtime) if answers.len() > FEW => drop(runtime.spawn(async { send(answers) })),
            _ => send(answers),
        }
    }

    /// Answers everybody that nothing happened.
    pub(super) fn refuse(self, error: &StoreError, mut snapshot: impl FnMut() -> Result<Snapshot, StoreError>) {
        for answer in self.answers {
            match answer {
                Answer::Revision(reply, _) => drop(reply.send(Err(error.clone()))),
                Answer::Done(reply, _) => drop(reply.send(Err(error.clone()))),
                Answer::Snapshot(reply) => drop(reply.send(snapshot())),
            }
        }
    }
}

fn send(answers: Vec<Answer>) {
    for answer in answers {
        match answer {
            Answer::Revision(reply, outcome) => drop(reply.send(outcome)),
            Answer::Done(reply, outcome) => drop(reply.send(outcome)),
            Answer::Snapshot(_) => {}
        }
    }
}
