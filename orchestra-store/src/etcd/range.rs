use orchestra_core::store::KeyRange;

/// A range of keys as etcd takes it: from `start`, before `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

/// The keys that the store watches: all, or those of the user's prefix.
#[derive(Debug)]
pub(super) struct Scope {
    range: KeyRange,
    pub(super) span: Span,
    /// A key that the user may read, whether it is there or not.
    pub(super) key: String,
    /// Whether every revision shows as an event.
    pub(super) is_whole: bool,
}

impl Scope {
    pub(super) fn new(prefix: &str) -> Self {
        let range = KeyRange::prefix(prefix);
        // A prefix's range begins before its end.
        let span = Span::new(&range, None).unwrap_or(Span { start: NULL.to_vec(), end: NULL.to_vec() });
        let key = if prefix.is_empty() { "/" } else { prefix };
        Self { range, span, key: key.to_owned(), is_whole: prefix.is_empty() }
    }

    pub(super) fn covers(&self, range: &KeyRange) -> bool {
        self.range.covers(range)
    }
}

/// etcd's first possible key, and as an end the mark that there is none.
const NULL: &[u8] = b"\0";

impl Span {
    /// The part of `range` that comes after the key `after`; `None` where no key can be in it.
    pub(super) fn new(range: &KeyRange, after: Option<&str>) -> Option<Self> {
        let mut start = range.start().as_bytes().to_vec();
        if let Some(after) = after.filter(|after| *after >= range.start()) {
            start = after.as_bytes().to_vec();
            start.push(0);
        }
        if start.is_empty() {
            start = NULL.to_vec();
        }
        match range.end() {
            None => Some(Self { start, end: NULL.to_vec() }),
            // Also guards against ends that mean something else to etcd: the empty one, and the null.
            Some(end) if end.as_bytes() <= start.as_slice() => None,
            Some(end) => Some(Self { start, end: end.as_bytes().to_vec() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &[u8], end: &[u8]) -> Option<Span> {
        Some(Span { start: start.to_vec(), end: end.to_vec() })
    }

    #[test]
    fn a_scope_covers_what_lies_in_it() {
        let scope = Scope::new("/registry/");
        for (range, covered) in [
            (KeyRange::prefix("/registry/"), true),
            (KeyRange::prefix("/registry/pods/"), true),
            (KeyRange::prefix("/registr"), false),
            (KeyRange::prefix(""), false),
            (KeyRange::between("/registry/pods", None), false),
        ] {
            assert_eq!(scope.covers(&range), covered, "{range:?}");
            assert!(Scope::new("").covers(&range));
        }
    }

    #[test]
    fn spans_are_what_etcd_takes_for_the_range() {
        assert_eq!(Span::new(&KeyRange::prefix("/a/"), None), span(b"/a/", b"/a0"));
        assert_eq!(Span::new(&KeyRange::prefix("/a/"), Some("/a/x")), span(b"/a/x\0", b"/a0"));
        assert_eq!(Span::new(&KeyRange::prefix("/b/"), Some("/a/x")), span(b"/b/", b"/b0"));
        assert_eq!(Span::new(&KeyRange::prefix(""), None), span(b"\0", b"\0"));
        assert_eq!(Span::new(&KeyRange::single("/a"), None), span(b"/a", b"/a\0"));
        assert_eq!(Span::new(&KeyRange::single("/a"), Some("/a")), None);
        assert_eq!(Span::new(&KeyRange::between("/a", Some("".into())), None), None);
        assert_eq!(Span::new(&KeyRange::between("", Some("\0".into())), None), None);
    }
}
