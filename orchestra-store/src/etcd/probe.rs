use std::sync::Arc;

use etcd_client::GetOptions;
use orchestra_core::store::Revision;
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use super::{
    connection::{Connections, Repeatable},
    entry,
    failure::Failure,
};

/// Asks etcd for its revision, for all who want to know it at once.
///
/// The answer must not be older than the question, so a caller cannot join a request that is under way; it joins the one that
/// comes next, which all who come meanwhile share.
#[derive(Default)]
pub(super) struct Probes {
    next: Mutex<Option<Arc<Probe>>>,
    /// Held by the probe that is under way.
    turn: AsyncMutex<()>,
}

#[derive(Default)]
struct Probe {
    answer: OnceCell<Result<Revision, Failure>>,
}

impl Probes {
    /// A revision that was the newest at some time after this call began.
    pub(super) async fn revision(&self, connections: &Connections, key: &str) -> Result<Revision, Failure> {
        let probe = Arc::clone(self.next.lock().get_or_insert_default());
        let ask = async {
            let _turn = self.turn.lock().await;
            // Who was answered together asks again together: those who are about to are let come, as they would wait for one more.
            tokio::task::yield_now().await;
            // Who comes from now on came after this request began.
            self.next.lock().take_if(|next| Arc::ptr_eq(next, &probe));
            Ok(ask(connections, key).await?.revision)
        };
        // If this caller goes away in the middle, another that waits asks in its place.
        probe.answer.get_or_init(|| ask).await.clone()
    }
}

/// What etcd told of itself.
pub(super) struct Told {
    pub(super) revision: Revision,
    /// Which cluster it is; another one after it was restored from a backup.
    pub(super) cluster: u64,
}

/// The revision, by a read that every member answers only after it has learnt how far the leader is.
pub(super) async fn ask(connections: &Connections, key: &str) -> Result<Told, Failure> {
    let answer = connections.call(Repeatable::Yes, |clients| {
        let mut kv = clients.kv.clone();
        async move { kv.get(key, Some(GetOptions::new().with_count_only())).await }
    });
    let header = answer.await?.0.header;
    let revision = entry::revision(header.as_ref())?;
    Ok(Told { revision, cluster: header.map_or(0, |header| header.cluster_id) })
}
