//! From the chunks, those of the engine and then those of the log, to the state: the newest change of each key before the oldest
//! revision that is kept, and every change from there on.

use std::{collections::HashMap, time::Duration};

use orchestra_core::store::{Key, KeyValue, Revision};

use super::{
    chunk,
    engine::{EngineError, Position, Snapshot},
    log::Entry,
    record::{Place, Record},
};
use crate::mvcc::{Publisher, Retention, State, Write};

/// What a file holds.
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) publisher: Publisher,
    /// The bytes of all chunks that the engine has.
    pub(super) stored: u64,
    /// About how many of them are of changes that are not superseded.
    pub(super) kept: u64,
}

/// Reads all, and checks that all is there.
pub(super) fn load(snapshot: &Snapshot, log: &[Entry], retention: Retention, now: i64) -> Result<Loaded, EngineError> {
    let mut position = snapshot.position()?;
    if let Some(newest) = log.last() {
        // What is swept by now may have been kept for the newest group still.
        position = Position { oldest: newest.position.oldest.max(position.oldest), ..newest.position };
    }
    let mut loading = Loading::new(position, retention, now);
    let mut stored = 0;
    snapshot.for_each(|place, bytes| {
        stored += bytes.len() as u64;
        loading.chunk(place, bytes)
    })?;
    log.iter().flat_map(|entry| &entry.chunks).try_for_each(|chunk| loading.chunk(chunk.place, &chunk.bytes))?;
    loading.finish(stored)
}

fn corrupt((revision, change): Place, reason: &str) -> EngineError {
    EngineError::Corrupt(format!("change {change} of revision {revision}: {reason}"))
}

struct Loading {
    position: Position,
    now: i64,
    last: Option<Place>,
    /// The keys before the oldest revision. Superseded changes are among the records until they are swept.
    base: HashMap<Key, (KeyValue, Option<Duration>, u64)>,
    /// The bytes of its changes, and of those since.
    kept: u64,
    publisher: Publisher,
    /// Once the base is complete.
    state: Option<State>,
    /// The changes of one revision.
    writes: Vec<Write>,
}

impl Loading {
    fn new(position: Position, retention: Retention, now: i64) -> Self {
        let publisher = Publisher::new(retention, position.oldest.saturating_sub(1));
        Self { position, now, last: None, base: HashMap::new(), kept: 0, publisher, state: None, writes: Vec::new() }
    }

    fn chunk(&mut self, place: Place, bytes: &[u8]) -> Result<(), EngineError> {
        let records = chunk::records(place, bytes).ok_or_else(|| corrupt(place, "its checksum is wrong"))?;
        if records.first().is_none_or(|first| first.place != place) {
            return Err(corrupt(place, "it is of another place"));
        }
        records.iter().try_for_each(|record| self.record(record))
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), EngineError> {
        let place = record.place;
        if self.last.is_some_and(|last| last >= place) || place.0 > self.position.revision {
            return Err(corrupt(place, "it is out of order"));
        }
        let before = self.last.replace(place);
        if place.0 < self.position.oldest {
            self.record_of_base(record);
            return Ok(());
        }
        // Of what is kept nothing is swept, so a gap is a loss.
        match before {
            Some(before) if before.0 == place.0 && before.1 + 1 == place.1 => {}
            before => {
                self.apply();
                let due = before.map_or(0, |before| before.0).max(self.position.oldest.saturating_sub(1)) + 1;
                if place != (due, 0) {
                    return Err(corrupt(place, &format!("the first change of revision {due} is missing before it")));
                }
            }
        }
        self.kept += record.bytes();
        self.writes.push(record.to_write(self.now));
        Ok(())
    }

    fn record_of_base(&mut self, record: &Record<'_>) {
        let superseded = match record.to_key_value() {
            Some(entry) => {
                self.kept += record.bytes();
                self.base.insert(Key::clone(&entry.key), (entry, record.remaining(self.now), record.bytes()))
            }
            None => self.base.remove(record.key),
        };
        self.kept -= superseded.map_or(0, |(.., bytes)| bytes);
    }

    fn state(&mut self) -> &mut State {
        let Self { base, publisher, position, .. } = self;
        self.state.get_or_insert_with(|| {
            let entries = std::mem::take(base).into_values().map(|(entry, ttl, _)| (entry, ttl));
            State::restored(publisher.clone(), position.oldest, entries)
        })
    }

    /// Applies the changes of one revision, which are complete.
    fn apply(&mut self) {
        if self.writes.is_empty() {
            return;
        }
        let writes = std::mem::take(&mut self.writes);
        let state = self.state();
        state.apply(state.revision() + 1, writes);
        drop(state.take_forgotten());
    }

    fn finish(mut self, stored: u64) -> Result<Loaded, EngineError> {
        self.apply();
        let reached = self.state().revision();
        let due: Revision = self.position.revision;
        match self.state {
            Some(state) if reached == due => Ok(Loaded { state, publisher: self.publisher, stored, kept: self.kept }),
            _ => Err(EngineError::Corrupt(format!("revisions {} to {due} are missing", reached + 1))),
        }
    }
}
