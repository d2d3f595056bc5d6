use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use orchestra_core::{clock::Clock, store::Revision};

use crate::{
    apiserver::{
        render,
        request::negotiate::View,
        selection::Selection,
        verbs::{Call, Stored},
        wire,
    },
    cache::{CachedEvent, Entry, EventKind, Form},
};

/// What a watcher is shown.
pub(super) struct Viewer {
    pub(super) call: Call,
    pub(super) selection: Selection,
    /// That of the row: encodings are shared with those who watch the same one.
    pub(super) form: Form,
    pub(super) columns_sent: bool,
    /// Ages in a table are those at the time of the event, not of the request.
    pub(super) clock: Arc<dyn Clock>,
}

impl Viewer {
    pub(super) fn shows(&self, entry: &Entry) -> bool {
        self.selection.matches(&self.call.resource, entry)
    }

    pub(super) fn entry(&mut self, kind: &str, entry: &Entry, revision: Revision) -> Bytes {
        let stored = Stored { revision, ..Stored::from(entry) };
        let (resource, now) = (&self.call.resource, self.clock.now());
        let rendered = match self.call.accept.view {
            View::Table => {
                let meta = render::ListMeta { revision, ..render::ListMeta::default() };
                let first = !std::mem::replace(&mut self.columns_sent, true);
                render::table(resource, std::iter::once(stored), &meta, first, &self.call.accept, &self.call.query, now)
            }
            _ => render::object(resource, &stored, &self.call.accept, &self.call.query, now),
        };
        match rendered {
            Ok(json) => frame(kind, &json),
            Err(error) => frame("ERROR", &error.to_json()),
        }
    }

    /// The event as this watcher sees it; `None` if it is of no concern.
    pub(super) fn event(&mut self, event: &CachedEvent) -> Option<Bytes> {
        if self.selection.is_everything() {
            let kind = name(event.kind());
            if self.call.accept.view == View::Objects {
                let resource = &self.call.resource;
                let encode =
                    |event: &CachedEvent| frame(kind, &wire::encoded(resource, &event.entry().value, event.revision));
                return Some(event.frame(self.form, encode));
            }
            return Some(self.entry(kind, event.entry(), event.revision));
        }
        let matching = |entry: &&Arc<Entry>| self.shows(entry);
        let before = event.previous.as_ref().filter(matching).cloned();
        let after = event.current.as_ref().filter(matching).cloned();
        let (kind, entry) = match (before, after) {
            (None, None) => return None,
            (None, Some(entry)) => ("ADDED", entry),
            (Some(_), Some(entry)) => ("MODIFIED", entry),
            (Some(entry), None) => ("DELETED", entry),
        };
        Some(self.entry(kind, &entry, event.revision))
    }

    pub(super) fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Bytes {
        let accept = &self.call.accept;
        let (kind, version) = match accept.view {
            View::Objects => (self.call.resource.kind.as_str(), self.call.resource.api_version()),
            View::Table => ("Table", accept.meta_version().to_owned()),
            View::Metadata | View::MetadataList => ("PartialObjectMetadata", accept.meta_version().to_owned()),
        };
        let annotations = match initial_events_end {
            true => r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
            false => "",
        };
        let object = format!(
            r#"{{"kind":"{kind}","apiVersion":"{version}","metadata":{{"resourceVersion":"{revision}","creationTimestamp":null{annotations}}}}}"#
        );
        frame("BOOKMARK", object.as_bytes())
    }
}

fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Added => "ADDED",
        EventKind::Modified => "MODIFIED",
        EventKind::Deleted => "DELETED",
    }
}

/// One event as a line.
pub(super) fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(br#"{"type":""#);
    line.put_slice(kind.as_bytes());
    line.put_slice(br#"","object":"#);
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}
