use std::{collections::VecDeque, time::Duration};

use orchestra_core::store::{Change, Key, Operation, Revision, StoreError, Transaction};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::engine::Snapshot;

/// What is asked of the writer.
pub(super) enum Request {
    Commit(Transaction, Reply<Revision>),
    Compact(Revision, Reply<()>),
    /// Deletes what is past its time to live; every group does that first.
    Expire(Reply<()>),
    /// The file as of the group's end.
    Snapshot(Reply<Snapshot>),
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Commit(transaction, _) => bytes(transaction),
            Self::Compact(..) | Self::Expire(_) | Self::Snapshot(_) => 0,
        }
    }

    /// The keys that it looks at.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        let operations = match self {
            Self::Commit(transaction, _) => transaction.operations(),
            Self::Compact(..) | Self::Expire(_) | Self::Snapshot(_) => &[],
        };
        operations.iter().map(|operation| &operation.key)
    }

    pub(super) fn refuse(self, error: &StoreError) {
        match self {
            Self::Commit(_, reply) => drop(reply.send(Err(error.clone()))),
            Self::Compact(_, reply) | Self::Expire(reply) => drop(reply.send(Err(error.clone()))),
            Self::Snapshot(reply) => drop(reply.send(Err(error.clone()))),
        }
    }
}

/// The bytes of the keys and values of a transaction.
pub(super) fn bytes(transaction: &Transaction) -> usize {
    let value = |operation: &Operation| match &operation.change {
        Change::Put { value, .. } => value.len(),
        Change::Nothing | Change::Delete => 0,
    };
    transaction.operations().iter().map(|operation| operation.key.len() + value(operation)).sum()
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// The most requests of a group.
const GROUP: usize = 1024;
/// The most bytes of values of a group, unless one request alone has more.
const GROUP_BYTES: usize = 8 << 20;

/// Requests in the order in which they came. Whoever finds that nobody writes is the one to write, until nothing is left.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// That there are as many as are hoped for.
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    hoped_for: usize,
    writing: bool,
    closed: bool,
}

impl Waiting {
    /// How many requests are one group.
    fn group(&self) -> usize {
        let mut bytes = 0;
        let fits = |(place, request): &(usize, &Request)| {
            bytes += request.bytes();
            *place == 0 || bytes <= GROUP_BYTES
        };
        self.requests.iter().take(GROUP).enumerate().take_while(fits).count()
    }
}

/// What a request's sender is to do.
pub(super) enum Pushed {
    /// See to it that somebody takes the requests.
    Write,
    /// Wait.
    Wait,
    /// Nothing: the store is closed.
    Closed,
}

impl Queue {
    pub(super) fn push(&self, request: Request) -> Pushed {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return Pushed::Closed;
        }
        waiting.requests.push_back(request);
        if waiting.requests.len() == waiting.hoped_for {
            self.filled.notify_one();
        }
        if std::mem::replace(&mut waiting.writing, true) { Pushed::Wait } else { Pushed::Write }
    }

    /// The next group. Without one the caller is not the one to write any more.
    ///
    /// Callers who were answered together tend to ask again together: a writer who takes the first of them at once makes the
    /// others wait for a whole write. So `patience` is how long as many as the last time are waited for.
    pub(super) fn take(&self, last: usize, patience: Duration) -> Vec<Request> {
        let mut waiting = self.waiting.lock();
        if waiting.requests.len() < last {
            waiting.hoped_for = last;
            self.filled.wait_for(&mut waiting, patience);
            waiting.hoped_for = 0;
        }
        let some = waiting.group();
        waiting.writing = some > 0;
        waiting.requests.drain(..some).collect()
    }

    /// Takes no more requests.
    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
    }

    /// Drops what waits, for whose writer is gone.
    pub(super) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.writing = false;
        waiting.requests.clear();
    }
}
