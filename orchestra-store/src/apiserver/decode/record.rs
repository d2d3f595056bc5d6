use std::{borrow::Cow, cell::RefCell, collections::HashSet, fmt};

use super::{Findings, place::Place, type_error};

/// What was found while decoding.
pub(super) struct Record<'de> {
    /// The fields of the whole that need no looking over.
    known: &'de [String],
    /// The keys so far of the objects around the value in hand, each object's after those of the one around it.
    keys: RefCell<Vec<Cow<'de, str>>>,
    findings: RefCell<Findings>,
    type_error: RefCell<Option<String>>,
}

impl<'de> Record<'de> {
    pub(super) fn new(known: &'de [String]) -> Self {
        Self { known, keys: RefCell::default(), findings: RefCell::default(), type_error: RefCell::default() }
    }

    /// Whether the field at `place` needs no looking over.
    pub(super) fn knows(&self, place: &Place<'_>) -> bool {
        !self.known.is_empty()
            && place.field_of_whole().is_some_and(|name| self.known.iter().any(|known| known == name))
    }

    pub(super) fn into_findings(self) -> Findings {
        self.findings.into_inner()
    }

    pub(super) fn into_type_error(self) -> Option<String> {
        self.type_error.into_inner()
    }

    pub(super) fn note_unknown(&self, place: &Place<'_>) {
        let path = place.full_path();
        // Every object has a type, also if its Rust type need not read it, as those of kube's derive macro `CustomResource`.
        if matches!(&*path, "apiVersion" | "kind") {
            return;
        }
        let mut findings = self.findings.borrow_mut();
        // That it occurs twice does not matter then.
        findings.0.pop_if(|last| *last == duplicate(&path));
        findings.note(format!("unknown field {path:?}"));
    }

    pub(super) fn note_duplicate(&self, place: &Place<'_>, key: &str) {
        let path = place.full_path();
        let dot = if path.is_empty() { "" } else { "." };
        self.findings.borrow_mut().note(duplicate(&format!("{path}{dot}{key}")));
    }

    /// Keeps the first error, told in Go's words; `expected` is the Go type.
    #[cold]
    pub(super) fn note_error(&self, error: &dyn fmt::Display, expected: &str, place: &Place<'_>) {
        let mut noted = self.type_error.borrow_mut();
        if noted.is_none() {
            *noted =
                Some(type_error::describe(&error.to_string(), expected, place.go_structure(), &place.field_path()));
        }
    }

    /// The keys of an object that is about to be read.
    pub(super) fn keys_of_object(&self) -> Keys<'_, 'de> {
        Keys { record: self, start: self.keys.borrow().len(), marks: 0, many: HashSet::new() }
    }
}

fn duplicate(path: &str) -> String {
    format!("duplicate field {path:?}")
}

/// The keys of one object so far: few as a rule, at the end of the record's, and a hash set when there are many.
pub(super) struct Keys<'r, 'de> {
    record: &'r Record<'de>,
    /// Where this object's keys begin.
    start: usize,
    /// A bit for each key that was seen, which other keys may share.
    marks: u64,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Keys<'_, 'de> {
    const FEW: usize = 24;

    /// Whether the key is new.
    pub(super) fn insert(&mut self, key: Cow<'de, str>) -> bool {
        let mut keys = self.record.keys.borrow_mut();
        let few = keys.get(self.start..).unwrap_or_default();
        let mark = mark(&key);
        let may_be_known = self.marks & mark != 0;
        if may_be_known && (few.contains(&key) || (!self.many.is_empty() && self.many.contains(&key))) {
            return false;
        }
        self.marks |= mark;
        if few.len() < Self::FEW {
            keys.push(key);
        } else {
            self.many.insert(key);
        }
        true
    }
}

/// One of 64 bits, by the key's length and ends.
fn mark(key: &str) -> u64 {
    let end = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or_default());
    let bytes = key.as_bytes();
    1 << ((bytes.len() + 7 * end(bytes.first()) + 13 * end(bytes.last())) % 64)
}

impl Drop for Keys<'_, '_> {
    fn drop(&mut self) {
        self.record.keys.borrow_mut().truncate(self.start);
    }
}
