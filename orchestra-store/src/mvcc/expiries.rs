use std::collections::{BTreeSet, HashMap};

use orchestra_core::store::Key;
use tokio::time::Instant;

/// When keys expire. It is kept beside their histories, as most keys never do.
#[derive(Default)]
pub(super) struct Expiries {
    by_time: BTreeSet<(Instant, Key)>,
    by_key: HashMap<Key, Instant>,
}

impl Expiries {
    pub(super) fn insert(&mut self, key: &Key, at: Instant) {
        self.remove(key);
        self.by_key.insert(Key::clone(key), at);
        self.by_time.insert((at, Key::clone(key)));
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_time.remove(&(at, Key::clone(key)));
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The keys whose time has come, in the order in which it did.
    pub(super) fn due(&self) -> Vec<Key> {
        if self.by_time.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        self.by_time.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| Key::clone(key)).collect()
    }
}
