//! What has changed and is not in the rules yet.

use std::{collections::BTreeSet, sync::Arc};

use orchestra_core::ObjectKey;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The Services to look at again. Clones share it; the informers' handlers fill it.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    changes: Mutex<Changes>,
    woken: Notify,
}

/// What is to be looked at again.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// These Services, or their endpoints.
    pub(super) services: BTreeSet<ObjectKey>,
    /// The node, on which all Services depend.
    pub(super) node: bool,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty() && !self.node
    }
}

impl Pending {
    /// The Service `key`, or an endpoint of it, has changed.
    pub(super) fn service(&self, key: ObjectKey) {
        self.shared.changes.lock().services.insert(key);
        self.shared.woken.notify_one();
    }

    /// The node has changed.
    pub(super) fn node(&self) {
        self.shared.changes.lock().node = true;
        self.shared.woken.notify_one();
    }

    /// Whether there is anything.
    pub(super) fn any(&self) -> bool {
        !self.shared.changes.lock().is_empty()
    }

    /// Takes all there is.
    pub(super) fn take(&self) -> Changes {
        std::mem::take(&mut self.shared.changes.lock())
    }

    /// Waits for a change; may return without one.
    pub(super) async fn changed(&self) {
        self.shared.woken.notified().await;
    }
}
