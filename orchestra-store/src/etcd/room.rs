use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use etcd_client::{AlarmAction, AlarmType};
use orchestra_core::store::{Change, Operation, StoreError};

use super::connection::{Connections, Repeatable};

/// Whether etcd has room for commits.
///
/// Of the commit that fills its database etcd says that there is no space, as of those after it, though that one is done. But before
/// it says so it raises an alarm, and as long as that stands it does none that puts anything. So the first such answer leaves
/// the outcome open, and then the alarm is asked for before anything is sent.
#[derive(Default)]
pub(super) struct Room {
    /// Whether etcd said that there is none, and has not been found to have some since.
    in_doubt: AtomicBool,
}

impl Room {
    /// Notes that etcd says that there is none.
    pub(super) fn doubt(&self) {
        self.in_doubt.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// [`StoreError::NoSpace`] if etcd is known to refuse `operations`.
    pub(super) async fn require(
        &self,
        connections: &Arc<Connections>,
        operations: &[Operation],
    ) -> Result<(), StoreError> {
        let puts = |operation: &Operation| matches!(operation.change, Change::Put { .. });
        if !self.in_doubt.load(Ordering::Relaxed) || !operations.iter().any(puts) {
            return Ok(());
        }
        let alarms = connections.call(Repeatable::Yes, |clients| {
            let mut maintenance = clients.maintenance.clone();
            async move { maintenance.alarm(AlarmAction::Get, AlarmType::Nospace, None).await }
        });
        // Where it does not tell, the commit itself will.
        let Ok(answer) = alarms.await else { return Ok(()) };
        if answer.0.alarms.is_empty() {
            self.in_doubt.store(false, Ordering::Relaxed);
            return Ok(());
        }
        let way_out = "etcd has reached its quota: compact and defragment it, then disarm its alarm NOSPACE";
        Err(StoreError::NoSpace(way_out.to_owned()))
    }
}
