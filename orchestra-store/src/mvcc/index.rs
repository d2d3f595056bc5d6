use std::{collections::hash_map::RandomState, hash::BuildHasher};

use orchestra_core::store::Key;

use super::keys::Place;

/// Places of keys, found by hash. What a search touches lies side by side: the first bucket that the hash leads to and those after it,
/// each with enough of its key's hash that other keys are hardly ever looked at. A `HashMap` looks in two places of its own
/// before it looks at a key.
#[derive(Default)]
pub(super) struct ByHash {
    hasher: RandomState,
    /// A power of two, or none.
    buckets: Vec<Option<Bucket>>,
    len: usize,
}

struct Bucket {
    key: Key,
    hash: u32,
    place: Place,
}

impl ByHash {
    const LEAST: usize = 8;

    pub(super) fn get(&self, key: &str) -> Option<(&Key, Place)> {
        let (_, found) = self.find(key)?;
        Some((&found.key, found.place))
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: Key, place: Place) {
        // A quarter stays free, so that searches are short.
        if 4 * (self.len + 1) > 3 * self.buckets.len() {
            self.grow();
        }
        let hash = self.hash(&key);
        self.settle(Bucket { key, hash, place });
        self.len += 1;
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Place> {
        let (mut hole, _) = self.find(key)?;
        let removed = self.buckets[hole].take()?;
        self.len -= 1;
        // Those that stand behind it, because it was in their way, move up.
        let mut next = self.after(hole);
        while let Some(bucket) = &self.buckets[next] {
            if self.distance(self.home(bucket.hash), next) >= self.distance(hole, next) {
                self.buckets.swap(hole, next);
                hole = next;
            }
            next = self.after(next);
        }
        Some(removed.place)
    }

    fn find(&self, key: &str) -> Option<(usize, &Bucket)> {
        let buckets = self.buckets.as_slice();
        if buckets.is_empty() {
            return None;
        }
        let hash = self.hash(key);
        let mut at = hash as usize & (buckets.len() - 1);
        while let Some(bucket) = &buckets[at] {
            if bucket.hash == hash && *bucket.key == *key {
                return Some((at, bucket));
            }
            at = (at + 1) & (buckets.len() - 1);
        }
        None
    }

    fn grow(&mut self) {
        let buckets = (2 * self.buckets.len()).max(Self::LEAST);
        let old = std::mem::replace(&mut self.buckets, std::iter::repeat_with(|| None).take(buckets).collect());
        old.into_iter().flatten().for_each(|bucket| self.settle(bucket));
    }

    /// Puts it into the first bucket that is free.
    fn settle(&mut self, bucket: Bucket) {
        let mut at = self.home(bucket.hash);
        while self.buckets[at].is_some() {
            at = self.after(at);
        }
        self.buckets[at] = Some(bucket);
    }

    fn hash(&self, key: &str) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.buckets.len() - 1)
    }

    /// How far it is from one bucket on to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.buckets.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use orchestra_core::random::Generator;

    use super::*;

    #[test]
    fn keys_that_come_and_go_are_where_they_were_put() {
        let (mut index, mut expected, generator) = (ByHash::default(), HashMap::new(), Generator::seeded(1));
        for place in 0..20_000 {
            let key: Key = format!("/{}", generator.below(1_000)).into();
            assert_eq!(index.get(&key).map(|(_, place)| place), expected.get(&key).copied());
            match expected.remove(&key) {
                Some(place) => assert_eq!(index.remove(&key), Some(place)),
                None => {
                    index.insert(Key::clone(&key), place);
                    expected.insert(key, place);
                }
            }
        }
        for (key, place) in &expected {
            assert_eq!(index.get(key), Some((key, *place)));
        }
        assert_eq!(index.len, expected.len());
    }
}
