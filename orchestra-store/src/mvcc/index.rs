use super::history::History;

/// Histories, found by the hashes of their keys. What a search touches lies side by side: the first place that the hash leads to and
/// those after it. Nothing leads from elsewhere to a history, which among a million would be one more cache miss for each commit, so
/// that they can move as others come and go.
#[derive(Default)]
pub(super) struct ByHash {
    places: Vec<Option<History>>,
    len: usize,
}

const _: () = assert!(size_of::<Option<History>>() == 128);

impl ByHash {
    const LEAST: usize = 8;

    pub(super) fn get(&self, hash: u32, key: &str) -> Option<&History> {
        self.places.get(self.find(hash, key)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, hash: u32, key: &str) -> Option<&mut History> {
        let place = self.find(hash, key)?;
        self.places.get_mut(place)?.as_mut()
    }

    /// That of `key`, or what `new` makes if there is none.
    pub(super) fn get_or_insert_with(&mut self, hash: u32, key: &str, new: impl FnOnce() -> History) -> &mut History {
        let place = self.find(hash, key).unwrap_or_else(|| self.insert(hash));
        self.places[place].get_or_insert_with(new)
    }

    /// A place for one more.
    fn insert(&mut self, hash: u32) -> usize {
        // A quarter stays free, so that searches are short.
        if 4 * (self.len + 1) > 3 * self.places.len() {
            self.grow();
        }
        self.len += 1;
        self.free(hash)
    }

    /// Has the processor get what a search for that hash looks at.
    pub(super) fn touch(&self, hash: u32) -> u64 {
        let first = if self.places.is_empty() { None } else { self.places[self.home(hash)].as_ref() };
        first.map_or(0, |history| history.newest.revision)
    }

    pub(super) fn remove(&mut self, hash: u32, key: &str) {
        let Some(mut hole) = self.find(hash, key) else { return };
        self.places[hole] = None;
        self.len -= 1;
        // Those that stand behind it, because it was in their way, move up.
        let mut next = self.after(hole);
        while let Some(history) = &self.places[next] {
            if self.distance(self.home(history.hash()), next) >= self.distance(hole, next) {
                self.places.swap(hole, next);
                hole = next;
            }
            next = self.after(next);
        }
    }

    fn find(&self, hash: u32, key: &str) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(hash);
        while let Some(history) = &self.places[at] {
            if history.is_of(hash, key) {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    /// Half as many places more: histories are large.
    fn grow(&mut self) {
        let places = (self.places.len() + self.places.len() / 2).max(Self::LEAST);
        let old = std::mem::replace(&mut self.places, std::iter::repeat_with(|| None).take(places).collect());
        for history in old.into_iter().flatten() {
            let place = self.free(history.hash());
            self.places[place] = Some(history);
        }
    }

    /// The first place for that hash that is free.
    fn free(&self, hash: u32) -> usize {
        let mut at = self.home(hash);
        while self.places[at].is_some() {
            at = self.after(at);
        }
        at
    }

    /// The place that the hash leads to. Greater hashes lead to later places, so that growing goes from the first to the last.
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.places.len() as u64) >> u32::BITS) as usize
    }

    fn after(&self, at: usize) -> usize {
        if at + 1 == self.places.len() { 0 } else { at + 1 }
    }

    /// How far it is from one place on to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.places.len() - from }
    }
}
