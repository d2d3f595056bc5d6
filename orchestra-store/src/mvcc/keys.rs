use std::{
    collections::BTreeMap,
    ops::{Bound, Index, IndexMut},
};

use orchestra_core::store::Key;

use super::{history::History, index::ByHash};

/// The keys with their histories. A key is found by its hash, with two cache misses among a million where a search by order takes
/// twenty; the order is for ranges.
#[derive(Default)]
pub(super) struct Keys {
    histories: Vec<History>,
    /// The places that nobody has.
    free: Vec<Place>,
    by_hash: ByHash,
    by_order: BTreeMap<Key, Place>,
}

/// Where a key's history is. Four billion keys take more memory than there is.
pub(super) type Place = u32;

impl Keys {
    pub(super) fn get(&self, key: &str) -> Option<(&Key, &History)> {
        self.by_hash.get(key).map(|(key, place)| (key, &self[place]))
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<(&Key, &mut History)> {
        let (key, place) = self.by_hash.get(key)?;
        Some((key, self.histories.get_mut(place as usize)?))
    }

    /// The history of `key`, a new one if it has none.
    pub(super) fn get_or_insert(&mut self, key: &Key) -> &mut History {
        let place = match self.by_hash.get(key) {
            Some((_, place)) => place,
            None => self.insert(Key::clone(key)),
        };
        &mut self[place]
    }

    fn insert(&mut self, key: Key) -> Place {
        let place = self.free.pop().unwrap_or_else(|| {
            self.histories.push(History::default());
            (self.histories.len() - 1) as Place
        });
        self.by_hash.insert(Key::clone(&key), place);
        self.by_order.insert(key, place);
        place
    }

    pub(super) fn remove(&mut self, key: &str) {
        if let Some(place) = self.by_hash.remove(key) {
            self.by_order.remove(key);
            self[place] = History::default();
            self.free.push(place);
        }
    }

    /// The keys from `start` on, in order.
    pub(super) fn from(&self, start: Bound<&str>) -> impl Iterator<Item = (&Key, &History)> {
        let range = self.by_order.range::<str, _>((start, Bound::Unbounded));
        range.map(|(key, place)| (key, &self[*place]))
    }
}

impl Index<Place> for Keys {
    type Output = History;

    fn index(&self, place: Place) -> &History {
        &self.histories[place as usize]
    }
}

impl IndexMut<Place> for Keys {
    fn index_mut(&mut self, place: Place) -> &mut History {
        &mut self.histories[place as usize]
    }
}
