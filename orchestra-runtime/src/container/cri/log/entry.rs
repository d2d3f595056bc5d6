//! One entry of a log file: `2016-10-06T00:17:09.669794202Z stdout F what it wrote`.

use jiff::Timestamp;
use orchestra_core::container_runtime::LogSource;

/// An entry, without the line's end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) at: Timestamp,
    pub(super) source: LogSource,
    /// Whether the line ends with it (`F`), or goes on in the source's next entry (`P`).
    pub(super) is_end: bool,
    pub(super) content: &'a [u8],
}

impl<'a> Entry<'a> {
    /// `None` if it is none, as when the machine died while it was written.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let (at, source, tags) = (parts.next()?, parts.next()?, parts.next()?);
        let at = std::str::from_utf8(at).ok()?.parse().ok()?;
        let source = match source {
            b"stdout" => LogSource::Stdout,
            b"stderr" => LogSource::Stderr,
            _ => return None,
        };
        // More tags may follow after a colon.
        let is_end = tags.split(|&byte| byte == b':').next()? != b"P";
        Some(Self { at, source, is_end, content: parts.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_cri_writes_them() {
        let entry = Entry::parse(b"2016-10-06T00:17:09.669794202Z stdout P  two words ").unwrap();
        assert_eq!((entry.source, entry.is_end, entry.content), (LogSource::Stdout, false, &b" two words "[..]));
        assert_eq!(entry.at.to_string(), "2016-10-06T00:17:09.669794202Z");
        let entry = Entry::parse(b"2016-10-06T00:17:09.1+02:00 stderr F:x ").unwrap();
        assert_eq!((entry.source, entry.is_end, entry.content), (LogSource::Stderr, true, &b""[..]));
        for broken in [&b""[..], b"\0\0\0", b"2016-10-06T00:17:09Z", b"2016-10-06T00:17:09Z stdin F x", b"x stdout F x"]
        {
            assert_eq!(Entry::parse(broken), None);
        }
    }
}
