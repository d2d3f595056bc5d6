//! Removal of what is superseded. A change that nobody can read any more stays where it is until half of all that is stored is
//! such; then a pass over all chunks takes it out, a few chunks with each write of the engine.

use std::collections::HashMap;

use orchestra_core::store::Revision;
use parking_lot::RwLock;

use super::{
    chunk::{self, Chunk, Packer},
    engine::{Chunks, EngineError},
    record::{Place, Record},
};
use crate::mvcc::State;

/// What may be superseded before a pass is worth it, in bytes.
const LEAST: u64 = 8 << 20;
/// How much a pass reads for each byte that is written: fast enough to be done before as much again is stored.
const PACE: u64 = 4;
/// What it reads at least with each write.
const STEP: u64 = 64 << 10;

#[derive(Clone)]
pub(super) struct Sweep {
    /// The bytes of all chunks.
    stored: u64,
    /// How many there are to be for the next pass.
    due: u64,
    pass: Option<Pass>,
    /// The bytes of new chunks that the pass has not done its part for, as the state was too far ahead.
    owed: u64,
}

#[derive(Clone)]
struct Pass {
    next: Place,
    /// The oldest revision kept when the pass began. Only deletions before it are taken out: the puts that they superseded were
    /// so then, and the pass has met them before, so no key comes back.
    oldest: Revision,
}

impl Sweep {
    /// Of a file with `stored` bytes of chunks, of which `kept` are of changes that are not superseded.
    pub(super) fn new(stored: u64, kept: u64) -> Self {
        Self { stored, due: due(kept), pass: None, owed: 0 }
    }

    /// Whether it can go on while the state does, which by now is ahead of the engine.
    pub(super) fn keeps_up(&self) -> bool {
        self.owed == 0
    }

    /// Notes `bytes` of new chunks, and sweeps its part. The state may be ahead of what the engine is to reach to, as long as its
    /// history begins before that: the engine's begins with it then, and is whole by itself.
    pub(super) fn step(
        &mut self,
        chunks: &mut Chunks<'_>,
        bytes: u64,
        state: &RwLock<State>,
    ) -> Result<(), EngineError> {
        self.stored += bytes;
        let written = std::mem::take(&mut self.owed) + bytes;
        if self.pass.is_none() && self.stored >= self.due {
            self.pass = Some(Pass { next: (0, 0), oldest: state.read().oldest() });
        }
        let Some(mut pass) = self.pass.take() else { return Ok(()) };
        let read = chunks.read(pass.next, (PACE * written).max(STEP) as usize)?;
        // What is kept as history goes to the end.
        let last = read.last().is_none_or(|last| last.place.0 >= pass.oldest);
        for chunk in read.iter().take_while(|chunk| chunk.place.0 < pass.oldest) {
            let Some(freed) = pass.sweep(chunk, chunks, state)? else {
                self.owed = written;
                self.pass = Some(pass);
                return Ok(());
            };
            self.stored -= freed;
            pass.next = (chunk.place.0, chunk.place.1 + 1);
        }
        if last {
            self.due = due(self.stored);
        } else {
            self.pass = Some(pass);
        }
        Ok(())
    }
}

/// When a file with this much that is not superseded is to be swept.
fn due(kept: u64) -> u64 {
    kept + kept.max(LEAST)
}

impl Pass {
    /// Takes what is superseded out of a chunk; the bytes that this frees, or `None` where the state has gone too far.
    fn sweep(&self, chunk: &Chunk, chunks: &mut Chunks<'_>, state: &RwLock<State>) -> Result<Option<u64>, EngineError> {
        let records = chunk::records(chunk.place, &chunk.bytes).ok_or_else(|| {
            EngineError::Corrupt(format!("the changes from revision {} on have changed on the disk", chunk.place.0))
        })?;
        // A key that is changed all the time has many records here, and a long history to look through.
        let mut oldest: HashMap<&str, Option<Revision>> = HashMap::new();
        let mut kept = Vec::new();
        // Briefly, as commits wait for it.
        let locked = state.read();
        if locked.oldest() > chunks.position().revision {
            return Ok(None);
        }
        chunks.begin_at(locked.oldest());
        for record in &records {
            let oldest = oldest.entry(record.key).or_insert_with(|| locked.oldest_of(record.key));
            kept.extend(self.keeps(record, *oldest).then_some(record));
        }
        drop(locked);
        if kept.len() == records.len() {
            return Ok(Some(0));
        }
        let mut packer = Packer::default();
        kept.into_iter().for_each(|record| packer.push(record));
        let left = packer.finish();
        chunks.remove(chunk.place)?;
        for chunk in &left {
            chunks.put(chunk)?;
        }
        let left: usize = left.iter().map(|chunk| chunk.bytes.len()).sum();
        Ok(Some((chunk.bytes.len() - left) as u64))
    }

    /// Whether the record stays, where the oldest change of its key that is not superseded is that one.
    fn keeps(&self, record: &Record<'_>, oldest: Option<Revision>) -> bool {
        let revision = record.place.0;
        oldest.is_some_and(|oldest| revision >= oldest) || (record.put.is_none() && revision >= self.oldest)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use orchestra_core::store::{Key, KeyRange, ListOptions, Precondition, ReadAt, Transaction};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        durable::{
            engine::{Engine, Position},
            group::Group,
            load::load,
            log::Entry,
            queue::Request,
        },
        mvcc::{Publisher, Retention},
    };

    const RETENTION: Retention = Retention { revisions: 10, bytes: usize::MAX, watch_lag: 10 };
    /// So large that no two changes share a chunk.
    const VALUE: usize = 64 << 10;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap_or_default();
        }
    }

    /// Puts a key; what is to be durable by that.
    fn put(state: &RwLock<State>, key: u64) -> Entry {
        let transaction = Transaction::new().put(key.to_string(), vec![0; VALUE], Precondition::None);
        let before = state.read().revision();
        let mut group = Group::judge(&state.read(), vec![Request::Commit(transaction, oneshot::channel().0)]);
        let entry = Entry { before, position: group.position(), chunks: group.chunks(0) };
        group.apply(&mut state.write());
        entry
    }

    /// Everything as of a revision: keys, and when each was put.
    fn list(state: &State, at: Revision) -> Vec<(Key, Revision)> {
        let options = ListOptions { at: ReadAt::Revision(at), ..ListOptions::default() };
        let entries = state.list(&KeyRange::prefix(""), &options).unwrap().entries;
        entries.into_iter().map(|entry| (entry.key, entry.mod_revision)).collect()
    }

    #[test]
    fn an_engine_that_was_swept_by_a_later_state_is_whole_with_the_log_and_without() {
        let folder = Folder(std::env::temp_dir().join(format!("orchestra-sweep-{}", std::process::id())));
        fs::create_dir(&folder.0).unwrap();
        Engine::create(&folder.0).unwrap();
        let engine = Engine::open_in(&folder.0).unwrap();
        let state = RwLock::new(State::new(Publisher::new(RETENTION, 0)));
        let mut sweep = Sweep::new(0, 0);

        // Each key twice, which is due to be swept.
        let keys = LEAST / VALUE as u64;
        let stored: Vec<Entry> = (0..2 * keys).map(|key| put(&state, key % keys)).collect();
        let reached = Position { revision: state.read().revision(), oldest: state.read().oldest() };
        // What comes after is in the log only.
        let log: Vec<Entry> = (0..5).map(|key| put(&state, key)).collect();
        engine
            .write(reached, |chunks| {
                for chunk in stored.iter().flat_map(|entry| &entry.chunks) {
                    chunks.put(chunk)?;
                }
                sweep.step(chunks, 2 * LEAST, &state)
            })
            .unwrap();
        assert!(sweep.stored < 2 * LEAST && sweep.keeps_up(), "it was swept");

        let snapshot = engine.snapshot().unwrap();
        let live = state.read();
        for log in [&log[..], &log[..2], &[]] {
            let loaded = load(&snapshot, log, RETENTION, 0).unwrap().state;
            assert_eq!(loaded.revision(), reached.revision + log.len() as u64);
            for at in live.oldest()..=loaded.revision() {
                assert_eq!(list(&loaded, at), list(&live, at), "at {at} of {} groups in the log", log.len());
            }
            assert!(loaded.oldest() >= live.oldest(), "what is swept cannot be read");
        }
    }
}
