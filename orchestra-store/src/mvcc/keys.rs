use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    hint::black_box,
    ops::Bound,
};

use orchestra_core::store::Key;

use super::{history::History, index::ByHash};

/// The keys with their histories. A key is found by its hash, with one cache miss among a million where a search by order takes
/// twenty. The order is for ranges.
#[derive(Default)]
pub(super) struct Keys {
    hasher: RandomState,
    by_hash: ByHash,
    /// The hashes of the keys.
    by_order: BTreeMap<Key, u32>,
}

impl Keys {
    pub(super) fn get(&self, key: &str) -> Option<&History> {
        self.by_hash.get(self.hash(key), key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut History> {
        self.by_hash.get_mut(self.hash(key), key)
    }

    /// The history of `key`, a new one if it has none.
    pub(super) fn get_or_insert(&mut self, key: &Key) -> &mut History {
        let hash = self.hash(key);
        let Self { by_hash, by_order, .. } = self;
        by_hash.get_or_insert_with(hash, key, || {
            by_order.insert(Key::clone(key), hash);
            History::of(hash, key)
        })
    }

    /// Has the processor get what is looked at to find these keys: for all of them at once, while a search waits for each.
    pub(super) fn touch<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let hashes: Vec<u32> = keys.map(|key| self.hash(key)).collect();
        black_box(hashes.into_iter().map(|hash| self.by_hash.touch(hash)).max());
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.by_hash.remove(self.hash(key), key);
        self.by_order.remove(key);
    }

    /// The histories of the keys from `start` on, in order.
    pub(super) fn from(&self, start: Bound<&str>) -> impl Iterator<Item = &History> {
        let range = self.by_order.range::<str, _>((start, Bound::Unbounded));
        range.filter_map(|(key, hash)| self.by_hash.get(*hash, key))
    }

    fn hash(&self, key: &str) -> u32 {
        self.hasher.hash_one(key) as u32
    }
}

#[cfg(test)]
mod tests {
    use orchestra_core::random::Generator;

    use super::*;

    #[test]
    fn keys_that_come_and_go_are_where_they_were_put() {
        let (mut keys, mut expected, generator) = (Keys::default(), BTreeMap::new(), Generator::seeded(1));
        for revision in 0..20_000 {
            let number = generator.below(1_000);
            // Of lengths on both sides of what is written into a history, and equal up to their ends.
            let key: Key = format!("/{}{number}", "x".repeat(number as usize % 100)).into();
            assert_eq!(keys.get(&key).map(|history| history.newest.revision), expected.get(&key).copied());
            if expected.remove(&key).is_some() {
                keys.remove(&key);
            } else {
                keys.get_or_insert(&key).newest.revision = revision;
                assert_eq!(keys.get_or_insert(&key).newest.revision, revision, "it is one history");
                expected.insert(key, revision);
            }
        }
        for (key, revision) in &expected {
            let history = keys.get_mut(key).expect("it was put");
            assert_eq!((&history.key, history.newest.revision), (key, *revision));
        }
        let in_order: Vec<_> =
            keys.from(Bound::Unbounded).map(|history| (&history.key, history.newest.revision)).collect();
        assert_eq!(in_order, expected.iter().map(|(key, revision)| (key, *revision)).collect::<Vec<_>>());
    }
}
