use std::{
    io::{self, BufRead, Write},
    time::Duration,
};

use orchestra_core::store::{
    Key, KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, StoreError, Transaction, WatchBatch,
};
use serde::{Deserialize, Serialize};

/// What was asked of a store and what it answered, from the start of a recording on.
///
/// As text it is a line of JSON for the start, and one for each record:
///
/// ```
/// # use orchestra_store::recording::Trace;
/// let text = r#"{"start":7}
/// {"after":{"secs":0,"nanos":0},"step":{"Get":{"key":"/a","at":"Latest","answer":{"Ok":null}}}}
/// "#;
/// let trace = Trace::read(text.as_bytes())?;
/// let mut written = Vec::new();
/// trace.write(&mut written)?;
/// assert_eq!(written, text.as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The store's revision at the start.
    pub start: Revision,
    /// What happened, in the order of the answers.
    pub records: Vec<Record>,
}

/// One line of a [`Trace`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How long after the start the answer was there.
    pub after: Duration,
    /// What it was.
    pub step: Step,
}

/// A call with its answer, or a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Step {
    /// [`Store::get`](orchestra_core::store::Store::get).
    Get { key: Key, at: ReadAt, answer: Result<Option<KeyValue>, StoreError> },
    /// [`Store::list`](orchestra_core::store::Store::list).
    List { range: KeyRange, options: ListOptions, answer: Result<Page, StoreError> },
    /// [`Store::commit`](orchestra_core::store::Store::commit).
    Commit { transaction: Transaction, answer: Result<Revision, StoreError> },
    /// [`Store::revision`](orchestra_core::store::Store::revision).
    Revision { answer: Result<Revision, StoreError> },
    /// [`Store::compact`](orchestra_core::store::Store::compact).
    Compact { revision: Revision, answer: Result<(), StoreError> },
    /// [`Watcher::watch`](orchestra_core::store::Watcher::watch); `watch` is the number by which its batches name it.
    Watch { watch: u64, range: KeyRange, after: Revision, answer: Result<(), StoreError> },
    /// What a watch delivered.
    Batch { watch: u64, batch: Result<WatchBatch, StoreError> },
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The text could not be read.
    #[error("a trace cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it should be: the start's revision in the first, a record in the others.
    #[error("line {number} of a trace is wrong: {error}")]
    Line {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        error: serde_json::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Start {
    start: Revision,
}

impl Trace {
    /// Reads what a recording or [`write`](Self::write) wrote. Without any line it is empty.
    pub fn read(text: impl BufRead) -> Result<Self, TraceError> {
        let mut trace = Self::default();
        for (place, line) in text.lines().enumerate() {
            let (line, at) = (line?, |error| TraceError::Line { number: place + 1, error });
            match place {
                0 => trace.start = serde_json::from_str::<Start>(&line).map_err(at)?.start,
                _ => trace.records.push(serde_json::from_str(&line).map_err(at)?),
            }
        }
        Ok(trace)
    }

    /// Writes it in lines of JSON.
    pub fn write(&self, mut writer: impl Write) -> io::Result<()> {
        write_start(&mut writer, self.start)?;
        self.records.iter().try_for_each(|record| write_line(&mut writer, record))
    }
}

pub(super) fn write_start(writer: &mut impl Write, start: Revision) -> io::Result<()> {
    write_line(writer, &Start { start })
}

pub(super) fn write_line(writer: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text)
}
