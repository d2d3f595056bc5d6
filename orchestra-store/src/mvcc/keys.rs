use std::{
    collections::{BTreeMap, hash_map::RandomState},
    hash::BuildHasher,
    ops::{Bound, Index, IndexMut},
};

use hashbrown::HashTable;
use orchestra_core::store::Key;

use super::history::History;

/// The keys with their histories. A key is found by its hash, with two cache misses among a million where a search by order takes
/// twenty; the order is for ranges.
#[derive(Default)]
pub(super) struct Keys {
    slots: Vec<Slot>,
    /// The slots that nobody has.
    free: Vec<Place>,
    by_hash: HashTable<Hashed>,
    hasher: RandomState,
    by_order: BTreeMap<Key, Place>,
}

/// Where a key's slot is. The table of places is to be small: it is what stays in the processor's caches. Four billion keys take more
/// memory than there is.
pub(super) type Place = u32;

pub(super) struct Slot {
    pub(super) key: Key,
    pub(super) history: History,
}

/// A key's place, with enough of its hash that others' slots are hardly ever looked at, and none when the table grows.
struct Hashed {
    hash: u32,
    place: Place,
}

impl Hashed {
    /// The table takes its places from the low bits and its marks from the high ones.
    fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Keys {
    pub(super) fn get(&self, key: &str) -> Option<&Slot> {
        self.place(key, self.hash(key)).map(|place| &self[place])
    }

    pub(super) fn place_of(&self, key: &str) -> Option<Place> {
        self.place(key, self.hash(key))
    }

    /// The place of `key`, a new one if it has none.
    pub(super) fn place_or_insert(&mut self, key: &Key) -> Place {
        let hash = self.hash(key);
        self.place(key, hash).unwrap_or_else(|| self.insert(Key::clone(key), hash))
    }

    fn hash(&self, key: &str) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    fn place(&self, key: &str, hash: u32) -> Option<Place> {
        let is_it = |hashed: &Hashed| hashed.hash == hash && *self[hashed.place].key == *key;
        self.by_hash.find(spread(hash), is_it).map(|hashed| hashed.place)
    }

    fn insert(&mut self, key: Key, hash: u32) -> Place {
        let slot = Slot { key: Key::clone(&key), history: History::default() };
        let place = match self.free.pop() {
            Some(place) => {
                self[place] = slot;
                place
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as Place
            }
        };
        self.by_hash.insert_unique(spread(hash), Hashed { hash, place }, Hashed::spread);
        self.by_order.insert(key, place);
        place
    }

    pub(super) fn remove(&mut self, place: Place) {
        let Slot { key, .. } =
            std::mem::replace(&mut self[place], Slot { key: "".into(), history: History::default() });
        let hash = self.hash(&key);
        if let Ok(hashed) = self.by_hash.find_entry(spread(hash), |hashed| hashed.place == place) {
            hashed.remove();
        }
        self.by_order.remove(&key);
        self.free.push(place);
    }

    /// The keys from `start` on, in order.
    pub(super) fn from(&self, start: Bound<&str>) -> impl Iterator<Item = &Slot> {
        self.by_order.range::<str, _>((start, Bound::Unbounded)).map(|(_, place)| &self[*place])
    }
}

impl Index<Place> for Keys {
    type Output = Slot;

    fn index(&self, place: Place) -> &Slot {
        &self.slots[place as usize]
    }
}

impl IndexMut<Place> for Keys {
    fn index_mut(&mut self, place: Place) -> &mut Slot {
        &mut self.slots[place as usize]
    }
}
