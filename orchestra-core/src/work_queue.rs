//! A queue of things to do that never holds one twice: client-go's rate-limited work queue.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::Hash,
    ops::Deref,
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

pub use crate::backoff::Backoff;

/// A FIFO queue that de-duplicates, delays and retries; clones share it.
///
/// An item that is added while it waits is handed out once; one that is added while it is being worked on is handed
/// out again afterwards, never to two workers at the same time.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use orchestra_core::work_queue::WorkQueue;
/// let queue = WorkQueue::default();
/// queue.add("a");
/// queue.add("b");
/// queue.add("a");
/// assert_eq!(*queue.next().await.unwrap(), "a");
/// assert_eq!(*queue.next().await.unwrap(), "b");
/// queue.shut_down();
/// assert!(queue.next().await.is_none());
/// # });
/// ```
pub struct WorkQueue<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    backoff: Backoff,
}

struct State<T> {
    ready: VecDeque<T>,
    /// Items that wait in `ready`, or will be put there when their worker is done.
    dirty: HashSet<T>,
    processing: HashSet<T>,
    /// By due time, then by order of adding.
    delayed: BTreeMap<(Instant, u64), T>,
    due: HashMap<T, (Instant, u64)>,
    sequence: u64,
    failures: HashMap<T, u32>,
    shut_down: bool,
}

impl<T: Clone + Eq + Hash> State<T> {
    fn add(&mut self, item: T) {
        if self.shut_down || !self.dirty.insert(item.clone()) || self.processing.contains(&item) {
            return;
        }
        self.ready.push_back(item);
    }

    fn add_at(&mut self, item: T, at: Instant) {
        if self.shut_down {
            return;
        }
        // The earlier of two delays counts.
        if let Some(due) = self.due.get(&item).copied() {
            if due.0 <= at {
                return;
            }
            self.delayed.remove(&due);
        }
        self.sequence += 1;
        let due = (at, self.sequence);
        self.due.insert(item.clone(), due);
        self.delayed.insert(due, item);
    }

    fn move_due(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let item = entry.remove();
            self.due.remove(&item);
            self.add(item);
        }
    }
}

impl<T: Clone + Eq + Hash> WorkQueue<T> {
    /// An empty queue whose [`retry`](Self::retry) uses `backoff`.
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            processing: HashSet::new(),
            delayed: BTreeMap::new(),
            due: HashMap::new(),
            sequence: 0,
            failures: HashMap::new(),
            shut_down: false,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new(), backoff }) }
    }

    /// Adds an item.
    pub fn add(&self, item: T) {
        self.shared.state.lock().add(item);
        self.shared.changed.notify_one();
    }

    /// Adds an item when `delay` has passed.
    pub fn add_after(&self, item: T, delay: Duration) {
        if delay.is_zero() {
            return self.add(item);
        }
        self.shared.state.lock().add_at(item, Instant::now() + delay);
        self.shared.changed.notify_one();
    }

    /// Adds an item that failed, after its backoff.
    pub fn retry(&self, item: T) {
        let delay = {
            let mut state = self.shared.state.lock();
            let failures = state.failures.entry(item.clone()).or_insert(0);
            let delay = self.shared.backoff.delay(*failures);
            *failures += 1;
            delay
        };
        self.add_after(item, delay);
    }

    /// Ends an item's backoff: it succeeded, or is given up.
    pub fn forget(&self, item: &T) {
        self.shared.state.lock().failures.remove(item);
    }

    /// How often an item failed in a row.
    pub fn failures(&self, item: &T) -> u32 {
        self.shared.state.lock().failures.get(item).copied().unwrap_or(0)
    }

    /// How many items wait to be handed out now.
    pub fn len(&self) -> usize {
        self.shared.state.lock().ready.len()
    }

    /// Whether no item waits to be handed out now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next item, as soon as there is one; `None` once the queue is shut down and drained.
    pub async fn next(&self) -> Option<Claim<T>> {
        loop {
            let next_due = {
                let mut state = self.shared.state.lock();
                state.move_due(Instant::now());
                if let Some(item) = state.ready.pop_front() {
                    state.dirty.remove(&item);
                    state.processing.insert(item.clone());
                    if !state.ready.is_empty() {
                        // `notify_one` keeps one permit only: hand it on for the items that remain.
                        self.shared.changed.notify_one();
                    }
                    return Some(Claim { item, shared: Arc::clone(&self.shared) });
                }
                if state.shut_down {
                    self.shared.changed.notify_one();
                    return None;
                }
                state.delayed.first_key_value().map(|(due, _)| due.0)
            };
            match next_due {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, self.shared.changed.notified()).await;
                }
                None => self.shared.changed.notified().await,
            }
        }
    }

    /// Takes no more items; those that wait are still handed out, delayed ones are dropped.
    pub fn shut_down(&self) {
        let mut state = self.shared.state.lock();
        state.shut_down = true;
        state.delayed.clear();
        state.due.clear();
        drop(state);
        self.shared.changed.notify_one();
    }
}

impl<T: Clone + Eq + Hash> Default for WorkQueue<T> {
    fn default() -> Self {
        Self::new(Backoff::default())
    }
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// An item that is being worked on; dropping it says that the work is done.
pub struct Claim<T: Clone + Eq + Hash> {
    item: T,
    shared: Arc<Shared<T>>,
}

impl<T: Clone + Eq + Hash> Deref for Claim<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Clone + Eq + Hash> Drop for Claim<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.processing.remove(&self.item);
        if state.dirty.contains(&self.item) {
            state.ready.push_back(self.item.clone());
            drop(state);
            self.shared.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_item_added_while_worked_on_is_handed_out_again_afterwards() {
        let queue = WorkQueue::default();
        queue.add(1);
        let claim = queue.next().await.unwrap();
        queue.add(1);
        assert!(queue.is_empty());
        drop(claim);
        assert_eq!(*queue.next().await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_double_the_delay_until_forgotten() {
        let queue = WorkQueue::new(Backoff { base: Duration::from_secs(10), max: Duration::from_secs(30) });
        for expected in [10, 20, 30, 30] {
            let started = Instant::now();
            queue.retry("a");
            drop(queue.next().await.unwrap());
            assert_eq!(started.elapsed().as_secs(), expected);
        }
        queue.forget(&"a");
        assert_eq!(queue.failures(&"a"), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earlier_of_two_delays_counts() {
        let queue = WorkQueue::default();
        let started = Instant::now();
        queue.add_after("a", Duration::from_secs(60));
        queue.add_after("a", Duration::from_secs(5));
        queue.add_after("a", Duration::from_secs(30));
        drop(queue.next().await.unwrap());
        assert_eq!(started.elapsed(), Duration::from_secs(5));
        assert!(tokio::time::timeout(Duration::from_secs(600), queue.next()).await.is_err());
    }

    #[tokio::test]
    async fn every_waiting_worker_gets_an_item() {
        let queue = WorkQueue::default();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.next().await.map(|claim| *claim) })
            })
            .collect();
        tokio::task::yield_now().await;
        for item in 0..4 {
            queue.add(item);
        }
        let mut items = Vec::new();
        for worker in workers {
            items.push(worker.await.unwrap().unwrap());
        }
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3]);
    }
}
