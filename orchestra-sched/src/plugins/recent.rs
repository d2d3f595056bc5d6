use std::sync::Arc;

use parking_lot::Mutex;

/// The last few of something that is costly to make and cheap to bring up to date. That they are kept changes no answer, only how long it
/// takes.
pub(super) struct Recent<T> {
    kept: Mutex<Vec<Arc<T>>>,
    most: usize,
}

impl<T: Clone> Recent<T> {
    /// Keeps `most` of them.
    pub(super) fn new(most: usize) -> Self {
        Self { kept: Mutex::new(Vec::new()), most }
    }

    /// The one that is wanted, made if there is none, and brought up to date.
    pub(super) fn get(
        &self,
        is_wanted: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
        update: impl FnOnce(&mut T),
    ) -> Arc<T> {
        let mut kept = self.kept.lock();
        let known = kept.iter().position(|one| is_wanted(one));
        let mut wanted = known.map_or_else(|| Arc::new(make()), |index| kept.remove(index));
        update(Arc::make_mut(&mut wanted));
        kept.truncate(self.most.saturating_sub(1));
        kept.insert(0, wanted.clone());
        wanted
    }
}
