use std::{cmp::Ordering, sync::Arc};

use orchestra_core::scheduler::{QueueSort, QueuedPod};

use crate::framework::contained;

/// A pod that is ready, among others that are.
pub(super) struct Ranked {
    sort: Arc<dyn QueueSort>,
    queued: QueuedPod,
}

impl Ranked {
    pub(super) fn new(sort: &Arc<dyn QueueSort>, queued: QueuedPod) -> Self {
        Self { sort: Arc::clone(sort), queued }
    }

    pub(super) fn sequence(&self) -> u64 {
        self.queued.sequence
    }

    pub(super) fn id(&self) -> &Arc<str> {
        self.queued.pod.id()
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.queued.sequence == other.queued.sequence
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.queued, &other.queued);
        if a.sequence == b.sequence {
            return Ordering::Equal;
        }
        contained(|| self.sort.compare(a, b)).unwrap_or(Ordering::Equal).then(a.sequence.cmp(&b.sequence))
    }
}
