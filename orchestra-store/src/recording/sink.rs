use std::io;

use orchestra_core::store::Revision;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::trace::{Record, Step, Trace, write_line, write_start};

/// Where records go.
pub(super) struct Sink {
    begun: Instant,
    start: Revision,
    place: Mutex<Place>,
}

enum Place {
    Memory(Vec<Record>),
    Writer(Box<dyn io::Write + Send>),
    /// The writer failed; `None` once that was told.
    Failed(Option<io::Error>),
}

impl Sink {
    pub(super) fn memory(start: Revision) -> Self {
        Self { begun: Instant::now(), start, place: Mutex::new(Place::Memory(Vec::new())) }
    }

    pub(super) fn writer(start: Revision, mut writer: Box<dyn io::Write + Send>) -> Self {
        let place = match write_start(&mut writer, start) {
            Ok(()) => Place::Writer(writer),
            Err(error) => Place::Failed(Some(error)),
        };
        Self { begun: Instant::now(), start, place: Mutex::new(place) }
    }

    pub(super) fn record(&self, step: Step) {
        let mut place = self.place.lock();
        let record = Record { after: self.begun.elapsed(), step };
        let written = match &mut *place {
            Place::Memory(records) => {
                records.push(record);
                Ok(())
            }
            Place::Writer(writer) => write_line(writer, &record),
            Place::Failed(_) => Ok(()),
        };
        if let Err(error) = written {
            *place = Place::Failed(Some(error));
        }
    }

    pub(super) fn trace(&self) -> Trace {
        let records = match &*self.place.lock() {
            Place::Memory(records) => records.clone(),
            Place::Writer(_) | Place::Failed(_) => Vec::new(),
        };
        Trace { start: self.start, records }
    }

    pub(super) fn flush(&self) -> io::Result<()> {
        match &mut *self.place.lock() {
            Place::Memory(_) => Ok(()),
            Place::Writer(writer) => writer.flush(),
            Place::Failed(error) => error.take().map_or(Ok(()), Err),
        }
    }
}
