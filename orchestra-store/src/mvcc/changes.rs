use std::{collections::VecDeque, num::NonZeroU64, sync::Arc};

use orchestra_core::store::{Event, Key, KeyValue, Revision};

use super::Batch;

/// The number of a change; they are counted through all batches.
pub(super) type Change = NonZeroU64;

/// The changes that are kept, oldest first: what keys were before is in the events that tell of it, and nowhere else. Each change
/// knows the one of the same key before it, so that what a key was is found without looking at other keys.
pub(super) struct Changes {
    /// One for each revision.
    batches: VecDeque<Arc<Batch>>,
    /// The revision of the first batch.
    first_revision: Revision,
    links: VecDeque<Link>,
    /// The number of the first link.
    first: Change,
}

struct Link {
    revision: Revision,
    /// The place of the event in its batch.
    index: u32,
    is_deletion: bool,
    /// The change of the same key before this one, which may be gone.
    earlier: Option<Change>,
}

impl Changes {
    /// None; the next is of this revision.
    pub(super) fn before(revision: Revision) -> Self {
        let (batches, links) = (VecDeque::new(), VecDeque::new());
        Self { batches, first_revision: revision, links, first: Change::MIN }
    }

    /// Notes an event of the next batch.
    pub(super) fn note(
        &mut self,
        (revision, index): (Revision, usize),
        earlier: Option<Change>,
        is_deletion: bool,
    ) -> Change {
        let number = self.first.saturating_add(self.links.len() as u64);
        self.links.push_back(Link { revision, index: index as u32, is_deletion, earlier });
        number
    }

    /// Keeps the batch of which all events are noted.
    pub(super) fn push(&mut self, batch: Arc<Batch>) {
        self.batches.push_back(batch);
    }

    /// Forgets the oldest batch, and tells what it deleted and when. Else the batch is not looked at: by now it is far away.
    pub(super) fn forget_oldest(&mut self, mut deleted: impl FnMut(&Key, Revision)) -> Option<Arc<Batch>> {
        let forgotten = self.batches.pop_front()?;
        while let Some(link) = self.links.pop_front_if(|link| link.revision <= self.first_revision) {
            if link.is_deletion
                && let Some(event) = forgotten.events.get(link.index as usize)
            {
                deleted(event.key(), link.revision);
            }
            self.first = self.first.saturating_add(1);
        }
        self.first_revision += 1;
        Some(forgotten)
    }

    /// The revision of the oldest batch, or of the next one where there is none.
    pub(super) fn first_revision(&self) -> Revision {
        self.first_revision
    }

    /// What the key of `newest` was at `revision`, before that change.
    pub(super) fn at(&self, newest: Option<Change>, revision: Revision) -> Option<&KeyValue> {
        self.previous(self.back(newest, |link| link.revision > revision)?)
    }

    /// The revision of the oldest state of the key of `newest` that is kept, before that change or by it.
    pub(super) fn oldest_of(&self, newest: Option<Change>) -> Option<Revision> {
        let link = self.back(newest, |_| true)?;
        Some(self.previous(link).map_or(link.revision, |previous| previous.mod_revision))
    }

    /// The oldest change in a row from `newest` on back that is kept and is such.
    fn back(&self, newest: Option<Change>, is_such: impl Fn(&Link) -> bool) -> Option<&Link> {
        let such = |change: Option<Change>| self.link(change?).filter(|link| is_such(link));
        std::iter::successors(such(newest), |link| such(link.earlier)).last()
    }

    fn link(&self, change: Change) -> Option<&Link> {
        self.links.get(change.get().checked_sub(self.first.get())? as usize)
    }

    fn previous(&self, link: &Link) -> Option<&KeyValue> {
        let batch = self.batches.get(link.revision.checked_sub(self.first_revision)? as usize)?;
        match batch.events.get(link.index as usize)? {
            Event::Put { previous, .. } => previous.as_ref(),
            Event::Delete { previous, .. } => Some(previous),
        }
    }
}
