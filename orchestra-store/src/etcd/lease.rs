//! Times to live, as etcd's leases.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::{
    connection::{Connections, Repeatable},
    failure::{Failure, Kind},
};

/// What a grant is thought to take.
const GRANT: Duration = Duration::from_millis(500);
/// What a commit may take to reach etcd without its keys expiring early.
const COMMIT: Duration = Duration::from_secs(1);
/// The longest lease that etcd grants, in seconds.
const LONGEST: u64 = 9_000_000_000;
/// The most keys on a lease: etcd deletes them all at once. Kubernetes has the same number.
const KEYS: usize = 1_000;

/// The leases in use, one for all keys that expire in the same second.
pub(super) struct Leases {
    origin: Instant,
    /// By the second in which they end, counted from `origin`.
    buckets: Mutex<BTreeMap<u64, Bucket>>,
}

struct Bucket {
    grant: Grant,
    keys: usize,
    begun: Instant,
}

/// A request for a lease that all who wait for it carry on, whoever of them goes away, and whose failure is theirs too.
type Grant = Shared<BoxFuture<'static, Result<i64, Failure>>>;

impl Leases {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), buckets: Mutex::default() }
    }

    /// A lease under which a key put now lives for `ttl`, and little longer. Takes the timeout of a request at most.
    pub(super) async fn lease(&self, connections: &Arc<Connections>, ttl: Duration) -> Result<i64, Failure> {
        let ttl = ttl.min(Duration::from_secs(LONGEST));
        let deadline = Instant::now() + connections.timeout;
        let mut allowance = GRANT;
        loop {
            let begun = self.origin.elapsed();
            let due = begun + allowance + COMMIT + ttl;
            let second = due.as_secs() + u64::from(due.subsec_nanos() > 0);
            let grant = self.bucket(connections, begun.as_secs(), second);
            let granted = timeout_at(deadline, grant.clone()).await;
            let lease = match granted.unwrap_or_else(|_| Err(connections.no_answer(Kind::Unknown))) {
                Ok(lease) => lease,
                Err(failure) => {
                    self.discard(second, &grant);
                    return Err(failure);
                }
            };
            let now = self.origin.elapsed();
            if now + COMMIT + ttl <= Duration::from_secs(second) {
                return Ok(lease);
            }
            // The next may take as long.
            allowance = 2 * (now - begun);
        }
    }

    fn bucket(&self, connections: &Arc<Connections>, now: u64, second: u64) -> Grant {
        let mut buckets = self.buckets.lock();
        if buckets.first_key_value().is_some_and(|(ends, _)| *ends < now) {
            *buckets = buckets.split_off(&now);
        }
        let ask = || Bucket::ask(Arc::clone(connections), self.origin, second);
        let bucket = buckets.entry(second).or_insert_with(ask);
        if bucket.keys == KEYS || bucket.is_deserted(connections.timeout) {
            *bucket = ask();
        }
        bucket.keys += 1;
        bucket.grant.clone()
    }

    /// Has nobody join the request that failed.
    fn discard(&self, second: u64, grant: &Grant) {
        let mut buckets = self.buckets.lock();
        if buckets.get(&second).is_some_and(|bucket| bucket.grant.ptr_eq(grant)) {
            buckets.remove(&second);
        }
    }

    /// Uses none of `leases` any more, as one of them has ended before its time.
    pub(super) fn forget(&self, leases: &[i64]) {
        let is_good = |bucket: &Bucket| match bucket.grant.peek() {
            Some(Ok(lease)) => !leases.contains(lease),
            _ => true,
        };
        self.buckets.lock().retain(|_, bucket| is_good(bucket));
    }
}

impl Bucket {
    /// One whose lease is asked for as soon as somebody waits for it.
    fn ask(connections: Arc<Connections>, origin: Instant, second: u64) -> Self {
        let grant = async move {
            // Counted from before the request, so that it does not end before the second.
            let seconds = second.saturating_sub(origin.elapsed().as_secs()).clamp(1, LONGEST);
            // One that was granted unheard ends by itself.
            let granted = connections.call(Repeatable::Yes, |clients| {
                let mut lease = clients.lease.clone();
                async move { lease.grant(i64::try_from(seconds).unwrap_or(i64::MAX), None).await }
            });
            Ok(granted.await?.id())
        };
        Self { grant: grant.boxed().shared(), keys: 0, begun: Instant::now() }
    }

    /// Whether all went away who waited for it, before it came to an end.
    fn is_deserted(&self, timeout: Duration) -> bool {
        self.grant.peek().is_none() && self.begun.elapsed() >= timeout
    }
}
