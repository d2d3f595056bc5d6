//! Times to live, as etcd's leases.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::OnceCell, time::Instant};

use super::{
    connection::{Connections, Repeatable},
    failure::Failure,
};

/// What a commit may take to reach etcd without its keys expiring early.
const ALLOWANCE: Duration = Duration::from_secs(1);
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

#[derive(Default)]
struct Bucket {
    lease: Arc<OnceCell<i64>>,
    keys: usize,
}

impl Leases {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), buckets: Mutex::default() }
    }

    /// A lease under which a key put now lives for `ttl`, and little longer.
    pub(super) async fn lease(&self, connections: &Connections, ttl: Duration) -> Result<i64, Failure> {
        let ttl = ttl.min(Duration::from_secs(LONGEST));
        let now = self.origin.elapsed();
        let due = now + ALLOWANCE + ttl;
        let second = due.as_secs() + u64::from(due.subsec_nanos() > 0);
        let lease = self.bucket(now.as_secs(), second);
        let grant = async {
            // Counted from before the request, so that it does not end before the second.
            let seconds = second.saturating_sub(self.origin.elapsed().as_secs()).clamp(1, LONGEST);
            // One that was granted unheard ends by itself.
            let granted = connections.call(Repeatable::Yes, |clients| {
                let mut lease = clients.lease.clone();
                async move { lease.grant(i64::try_from(seconds).unwrap_or(i64::MAX), None).await }
            });
            Ok(granted.await?.id())
        };
        lease.get_or_try_init(|| grant).await.copied()
    }

    fn bucket(&self, now: u64, second: u64) -> Arc<OnceCell<i64>> {
        let mut buckets = self.buckets.lock();
        if buckets.first_key_value().is_some_and(|(ends, _)| *ends < now) {
            *buckets = buckets.split_off(&now);
        }
        let bucket = buckets.entry(second).or_default();
        if bucket.keys == KEYS {
            *bucket = Bucket::default();
        }
        bucket.keys += 1;
        Arc::clone(&bucket.lease)
    }

    /// Uses none of `leases` any more, as one of them has ended before its time.
    pub(super) fn forget(&self, leases: &[i64]) {
        self.buckets.lock().retain(|_, bucket| bucket.lease.get().is_none_or(|lease| !leases.contains(lease)));
    }
}
