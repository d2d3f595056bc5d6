use std::{cmp::Ordering, sync::Arc};

use super::PodInfo;

/// A pod that waits for an attempt.
#[derive(Clone, Debug)]
pub struct QueuedPod {
    /// The pod.
    pub pod: Arc<PodInfo>,
    /// How many attempts there were.
    pub attempts: u32,
    /// Its rank by when it became ready: lower ones wait longer. No two pods of a queue have the same.
    pub sequence: u64,
}

/// Says which of the pods that are ready is tried first.
///
/// # Contract
/// A total order that does not change while a pod waits: it depends on its arguments alone. Of two pods that are equal the one that waits
/// longer comes first.
///
/// ```
/// use std::cmp::Ordering;
/// use orchestra_core::scheduler::{QueueSort, QueuedPod};
///
/// /// The smallest first.
/// struct Smallest;
///
/// impl QueueSort for Smallest {
///     fn name(&self) -> &'static str { "Smallest" }
///     fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering {
///         a.pod.requests().milli_cpu.cmp(&b.pod.requests().milli_cpu)
///     }
/// }
/// ```
pub trait QueueSort: Send + Sync + 'static {
    /// The name, by which profiles know it: `PrioritySort`. All schedulers of one queue have to name the same.
    fn name(&self) -> &'static str;

    /// `Less` if `a` is to be tried before `b`.
    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering;
}
