use std::ops::Bound;

use bytes::Bytes;
use orchestra_core::store::{Key, KeyRange, KeyValue, ListOptions, Page, ReadAt, Revision, StoreError};

use super::{
    State,
    history::{History, Version},
    write::require_key,
};

impl State {
    pub(crate) fn get(&self, key: &str, at: ReadAt) -> Result<Option<KeyValue>, StoreError> {
        require_key(key)?;
        let revision = self.readable(at)?;
        Ok(self.keys.get(key).and_then(|history| self.at(history, revision)).map(Seen::to_key_value))
    }

    pub(crate) fn list(&self, range: &KeyRange, options: &ListOptions) -> Result<Page, StoreError> {
        let revision = self.readable(options.at)?;
        if options.limit == Some(0) {
            return Err(StoreError::InvalidArgument("a page's limit must not be zero".to_owned()));
        }
        let start = match options.after.as_deref() {
            Some(after) if after >= range.start() => Bound::Excluded(after),
            _ => Bound::Included(range.start()),
        };
        let mut entries = self
            .keys
            .from(start)
            .take_while(|history| range.end().is_none_or(|end| &*history.key < end))
            .filter_map(|history| self.at(history, revision));
        let limit = options.limit.unwrap_or(usize::MAX);
        let page = entries.by_ref().take(limit).map(Seen::to_key_value).collect();
        Ok(Page { entries: page, revision, remaining: entries.count() })
    }

    /// The key at `revision`, if it exists then.
    fn at<'a>(&'a self, history: &'a History, revision: Revision) -> Option<Seen<'a>> {
        let History { key, newest, changed, .. } = history;
        if newest.revision <= revision {
            Some(Seen::Now { key, version: newest, value: newest.value.as_ref()? })
        } else {
            self.changes.at(*changed, revision).map(Seen::Then)
        }
    }

    /// The revision to read at, if it is there.
    fn readable(&self, at: ReadAt) -> Result<Revision, StoreError> {
        match at {
            ReadAt::Latest => Ok(self.revision),
            ReadAt::Revision(requested) if requested < self.oldest => {
                Err(StoreError::Compacted { requested, oldest: self.oldest })
            }
            ReadAt::Revision(requested) if requested > self.revision => {
                Err(StoreError::FutureRevision { requested, current: self.revision })
            }
            ReadAt::Revision(requested) => Ok(requested),
        }
    }

    /// When the key was created, if it is there now.
    pub(super) fn created(&self, key: &str) -> Option<Revision> {
        let history = self.keys.get(key)?;
        history.newest.value.is_some().then_some(history.newest.create_revision)
    }

    /// The key as it is now.
    pub(super) fn latest(&self, key: &str) -> Option<KeyValue> {
        let history = self.keys.get(key)?;
        history.newest.of(&history.key)
    }
}

/// A key as it was seen.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Now { key: &'a Key, version: &'a Version, value: &'a Bytes },
    Then(&'a KeyValue),
}

impl Seen<'_> {
    fn to_key_value(self) -> KeyValue {
        match self {
            Self::Now { key, version, value } => version.with(key, value.clone()),
            Self::Then(then) => then.clone(),
        }
    }
}
