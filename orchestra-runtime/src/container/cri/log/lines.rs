//! Whole lines of entries: runtimes cut long lines into pieces, and the pieces of both streams may be mixed.

use jiff::Timestamp;
use orchestra_core::container_runtime::{LogLine, LogSource};

use super::entry::Entry;

/// The longest line that is put together. What is longer is given out in pieces.
const LONGEST: usize = 1024 * 1024;

/// Puts lines together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    since: Option<Timestamp>,
    /// How many may still come, where that is limited.
    left: Option<usize>,
    begun: [Option<LogLine>; 2],
}

impl Lines {
    /// Leaves out what is older than `since`, and what comes after the first `limit` lines.
    pub(super) fn new(since: Option<Timestamp>, limit: Option<usize>) -> Self {
        Self { since, left: limit, ..Self::default() }
    }

    /// Takes the next line of the file, without its end. What is no entry is left out.
    pub(super) fn take(&mut self, line: &[u8]) -> Option<LogLine> {
        let entry = Entry::parse(line)?;
        if self.left == Some(0) || self.since.is_some_and(|since| entry.at < since) {
            return None;
        }
        let begun = &mut self.begun[usize::from(entry.source == LogSource::Stderr)];
        let line = begun.get_or_insert_with(|| LogLine {
            at: entry.at,
            source: entry.source,
            line: Vec::new(),
            goes_on: false,
        });
        line.line.extend_from_slice(entry.content);
        line.goes_on = !entry.is_end;
        if !entry.is_end && line.line.len() < LONGEST {
            return None;
        }
        if let Some(left) = &mut self.left
            && entry.is_end
        {
            *left -= 1;
        }
        begun.take()
    }

    /// What was begun and will not go on, as it is the end of the log.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = LogLine> + use<> {
        let mut rest: Vec<LogLine> = self.begun.iter_mut().filter_map(Option::take).collect();
        rest.sort_by_key(|line| line.at);
        rest.truncate(self.left.unwrap_or(usize::MAX));
        rest.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(entries: &[&str]) -> Vec<(String, bool)> {
        limited(entries, None)
    }

    fn limited(entries: &[&str], limit: Option<usize>) -> Vec<(String, bool)> {
        let mut lines = Lines::new(Some("2020-01-01T00:00:00Z".parse().unwrap()), limit);
        let mut told: Vec<LogLine> = entries.iter().filter_map(|entry| lines.take(entry.as_bytes())).collect();
        told.extend(lines.rest());
        told.into_iter().map(|line| (String::from_utf8(line.line).unwrap(), line.goes_on)).collect()
    }

    #[test]
    fn pieces_are_joined_for_each_stream() {
        let told = lines(&[
            "2019-01-01T00:00:00Z stdout F old",
            "2020-01-01T00:00:00Z stdout P a",
            "2020-01-01T00:00:00Z stderr P x",
            "rubbish",
            "2020-01-01T00:00:01Z stdout F b",
            "2020-01-01T00:00:02Z stderr P y",
        ]);
        assert_eq!(told, [("ab".to_owned(), false), ("xy".to_owned(), true)]);
    }

    #[test]
    fn no_more_lines_are_told_than_were_asked_for() {
        let entries = [
            "2019-01-01T00:00:00Z stdout F old",
            "2020-01-01T00:00:00Z stdout P a",
            "2020-01-01T00:00:00Z stderr P x",
            "2020-01-01T00:00:01Z stdout F b",
            "2020-01-01T00:00:02Z stderr F y",
            "2020-01-01T00:00:03Z stdout P c",
        ];
        let all = [("ab".to_owned(), false), ("xy".to_owned(), false), ("c".to_owned(), true)];
        for limit in 0..4 {
            assert_eq!(limited(&entries, Some(limit)), all[..limit], "{limit}");
        }
    }

    #[test]
    fn a_line_without_end_is_given_out_in_pieces() {
        let entry = format!("2020-01-01T00:00:00Z stdout P {}", "x".repeat(LONGEST / 2));
        let told = lines(&[entry.as_str(); 5]);
        let lengths: Vec<usize> = told.iter().map(|line| line.0.len()).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, LONGEST / 2]);
        assert!(told.iter().all(|line| line.1));
    }
}
