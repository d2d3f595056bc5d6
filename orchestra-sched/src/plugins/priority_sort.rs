use std::{cmp::Ordering, sync::Arc};

use orchestra_core::scheduler::{QueueSort, QueuedPod};

use crate::framework::Plugin;

/// Pods of higher priority are tried first, and of the same priority those that wait longer.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrioritySort;

impl Plugin for PrioritySort {
    fn name(&self) -> &'static str {
        "PrioritySort"
    }

    fn as_queue_sort(&self) -> Option<Arc<dyn QueueSort>> {
        Some(Arc::new(*self))
    }
}

impl QueueSort for PrioritySort {
    fn name(&self) -> &'static str {
        Plugin::name(self)
    }

    fn compare(&self, a: &QueuedPod, b: &QueuedPod) -> Ordering {
        b.pod.priority().cmp(&a.pod.priority())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::testing::*, *};

    #[test]
    fn higher_priority_comes_first() {
        let queued = |priority: i32, sequence| QueuedPod {
            pod: Arc::new(pod(json!({ "priority": priority }))),
            attempts: 0,
            sequence,
        };
        assert_eq!(PrioritySort.compare(&queued(2, 9), &queued(1, 0)), Ordering::Less);
        assert_eq!(PrioritySort.compare(&queued(-1, 9), &queued(1, 0)), Ordering::Greater);
        assert_eq!(
            PrioritySort.compare(&queued(1, 9), &queued(1, 0)),
            Ordering::Equal,
            "the queue says who waits longer"
        );
    }
}
