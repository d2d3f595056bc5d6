use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use orchestra_core::{clock::Clock, store::StoreError};
use parking_lot::{Mutex, RwLock};
use tokio::{runtime::Handle, sync::oneshot, time::Instant};

use super::{
    group::Group,
    queue::{Pushed, Queue, Reply, Request},
    writer::Writer,
};
use crate::mvcc::{Expiring, Publisher, State, Timer};

/// How long keys that could not be deleted when they expired are left alone.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);
/// How long a group is waited for at most.
const MOST_PATIENCE: Duration = Duration::from_millis(1);

/// What all clones of a store share.
pub(super) struct Core {
    pub(super) state: Arc<RwLock<State>>,
    pub(super) publisher: Publisher,
    clock: Arc<dyn Clock>,
    queue: Queue,
    closed: AtomicBool,
    /// `None` once the store is closed.
    writer: Mutex<Option<Writer>>,
    timer: Timer,
    /// Until when keys may be there though they are past their time to live, as their deletion cannot be written.
    expiry_waits: Mutex<Option<Instant>>,
}

impl Core {
    pub(super) fn new(writer: Writer, state: State, publisher: Publisher, clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::new(RwLock::new(state)),
            publisher,
            clock,
            queue: Queue::default(),
            closed: AtomicBool::new(false),
            writer: Mutex::new(Some(writer)),
            timer: Timer::default(),
            expiry_waits: Mutex::default(),
        }
    }

    /// Has the writer do what `request` makes.
    pub(super) async fn ask<T>(self: &Arc<Self>, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        match self.queue.push(request(reply)) {
            Pushed::Closed => return Err(closed()),
            Pushed::Wait => {}
            Pushed::Write => Lead::start(self),
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::OutcomeUnknown("the writer of the store is gone".to_owned())))
    }

    /// Runs `read` on the state.
    pub(super) async fn read<T>(self: &Arc<Self>, read: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        self.settle().await?;
        Ok(read(&self.state.read()))
    }

    /// Has no key past its time to live, if that can be.
    pub(super) async fn settle(self: &Arc<Self>) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(closed());
        }
        let due = self.state.read().expiry_is_due();
        if due && self.expiry_waits.lock().is_none_or(|until| until <= Instant::now()) {
            Arc::clone(self).expire().await;
        }
        Ok(())
    }

    /// Writes a group.
    fn write(self: &Arc<Self>, writer: &mut Writer, requests: Vec<Request>) {
        let mut forgotten = None;
        let mut group = Group::judge(&self.state.read(), requests);
        if group.changes() {
            let chunks = group.chunks(self.clock.now().as_millisecond());
            if let Err(error) = writer.write(group.position(), chunks, &self.state) {
                return group.refuse(&error, || writer.snapshot(&self.state));
            }
            let mut state = self.state.write();
            group.apply(&mut state);
            forgotten = Some(state.take_forgotten());
            drop(state);
            self.publisher.wake();
            Timer::arm(self);
        }
        group.answer(|| writer.snapshot(&self.state));
        // While those who were answered think of what they want next.
        drop(forgotten);
    }

    /// Waits for the group that is being written, and closes the files. Calls fail from now on, and watches end.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.queue.close();
        if let Some(writer) = self.writer.lock().take() {
            writer.close(&self.state);
        }
        self.publisher.close();
    }
}

impl Expiring for Core {
    fn timer(&self) -> &Timer {
        &self.timer
    }

    fn next_expiry(&self) -> Option<Instant> {
        let next = self.state.read().next_expiry()?;
        Some(self.expiry_waits.lock().map_or(next, |until| next.max(until)))
    }

    async fn expire(self: Arc<Self>) {
        let outcome = self.ask(Request::Expire).await;
        *self.expiry_waits.lock() = outcome.err().and_then(|_| Instant::now().checked_add(EXPIRY_PAUSE));
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

/// Whose turn it is to write: a thread that may block, for as long as there are requests. It is no thread of the store's own, so
/// that nothing is to be ended with it, and tokio's paused time stands still while it works.
struct Lead {
    core: Arc<Core>,
    done: bool,
}

impl Lead {
    fn start(core: &Arc<Core>) {
        let lead = Self { core: Arc::clone(core), done: false };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(|| lead.run())),
            Err(_) => lead.run(),
        }
    }

    fn run(mut self) {
        let (mut last, mut patience) = (0, Duration::ZERO);
        loop {
            let requests = self.core.queue.take(last, patience);
            if requests.is_empty() {
                self.done = true;
                return;
            }
            let begun = Instant::now();
            last = requests.len();
            match &mut *self.core.writer.lock() {
                Some(writer) => self.core.write(writer, requests),
                None => requests.into_iter().for_each(|request| request.refuse(&closed())),
            }
            patience = (begun.elapsed() / 2).min(MOST_PATIENCE);
        }
    }
}

impl Drop for Lead {
    /// One that is not done was never begun, as its runtime is gone, or has panicked.
    fn drop(&mut self) {
        if !self.done {
            self.core.queue.abandon();
        }
    }
}
