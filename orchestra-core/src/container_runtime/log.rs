use jiff::Timestamp;

/// Where a container wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Where to.
    pub source: LogSource,
    /// The line without its end.
    pub line: Vec<u8>,
    /// Whether the line goes on in the next item of the same source: a runtime puts no line together that is longer than it can hold.
    pub goes_on: bool,
}

/// Which lines to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Whether to wait for further lines.
    pub follow: bool,
    /// Only so many of the newest.
    pub tail: Option<usize>,
    /// Of these, only those not older than this.
    pub since: Option<Timestamp>,
}
