use std::{sync::Arc, time::Duration};

use etcd_client::{
    Compare, CompareOp, Txn, TxnOp, WatchFilterType, WatchOptions,
    proto::{PbTxnOpResponse, PbTxnResponse},
};
use orchestra_core::store::Revision;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{
    connection::{Connections, Repeatable},
    entry::{self, signed, unsigned},
    failure::{Failure, Kind},
};

/// Where those who compact take turns: Kubernetes' own key, so that its API servers and ours do not compact twice.
pub(super) const KEY: &str = "compact_rev_key";

/// Has etcd forget what is older than `revision`; one that is compacted already is no error.
pub(super) async fn compact(connections: &Connections, revision: Revision) -> Result<(), Failure> {
    let compacted = connections.call(Repeatable::Yes, |clients| {
        let mut kv = clients.kv.clone();
        async move { kv.compact(signed(revision), None).await }
    });
    match compacted.await {
        Err(failure) if failure.kind != Kind::Compacted => Err(failure),
        _ => Ok(()),
    }
}

/// The revision that etcd compacted last. Only the refusal of a watch from before it tells.
pub(super) async fn oldest(connections: &Connections, key: &str) -> Option<Revision> {
    let refusal = async {
        let connection = connections.current();
        let clients = connections.clients(&connection).await.ok()?;
        let nothing = [WatchFilterType::NoPut, WatchFilterType::NoDelete];
        let options = WatchOptions::new().with_start_revision(1).with_filters(nothing);
        let mut watch = clients.watch.clone().watch(key, Some(options)).await.ok()?;
        while let Ok(Some(response)) = watch.message().await {
            if response.compact_revision() > 0 {
                return Some(unsigned(response.compact_revision()));
            }
        }
        None
    };
    timeout(connections.timeout, refusal).await.ok().flatten()
}

/// Compacts, each `interval`, what is older than `interval`, if no other does.
pub(super) async fn run(connections: Arc<Connections>, interval: Duration) {
    let mut turn = Turn::default();
    loop {
        sleep(interval).await;
        match turn.take(&connections).await {
            Ok(Some(revision)) => debug!(revision, "etcd is compacted"),
            Ok(None) => {}
            Err(failure) => warn!(?failure, "etcd cannot be compacted"),
        }
    }
}

/// What was known of the key the last time: who finds its version unchanged has the turn.
#[derive(Default)]
struct Turn {
    version: i64,
    /// The revision at that time; zero before the first.
    revision: Revision,
}

impl Turn {
    /// Compacts what was there the last time, unless another did since. The result is the revision.
    async fn take(&mut self, connections: &Connections) -> Result<Option<Revision>, Failure> {
        let answer = connections.call(Repeatable::No, |clients| {
            let mut kv = clients.kv.clone();
            let mine = Txn::new()
                .when([Compare::version(KEY, CompareOp::Equal, self.version)])
                .and_then([TxnOp::put(KEY, self.revision.to_string(), None)])
                .or_else([TxnOp::get(KEY, None)]);
            async move { kv.txn(mine).await }
        });
        let answer = answer.await?.0;
        let now = entry::revision(answer.header.as_ref())?;
        if !answer.succeeded {
            *self = Self { version: version(answer), revision: now };
            return Ok(None);
        }
        let before = std::mem::replace(self, Self { version: self.version + 1, revision: now }).revision;
        if before == 0 {
            return Ok(None);
        }
        compact(connections, before).await?;
        Ok(Some(before))
    }
}

fn version(answer: PbTxnResponse) -> i64 {
    match answer.responses.into_iter().next().and_then(|answer| answer.response) {
        Some(PbTxnOpResponse::ResponseRange(range)) => range.kvs.first().map_or(0, |kv| kv.version),
        _ => 0,
    }
}
