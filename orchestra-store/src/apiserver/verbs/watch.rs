use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::Stream;
use orchestra_core::{clock::Clock, store::Revision};
use tokio::time::{Interval, MissedTickBehavior, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Answer, Call, Payload, Stored};
use crate::{
    apiserver::{
        ApiError, render,
        request::{
            negotiate::{Accept, Encoding, View},
            options::ListOptions,
        },
        selection::Selection,
        server::Shared,
        wire,
    },
    cache::{Cache, CacheError, CacheWatch, CachedEvent, Entry, EventKind, Form, Freshness},
};

/// How often an idle watch tells how far it is (kube-apiserver's `bookmarkFrequency`).
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);
/// The least time that a watch lasts if the client names none; up to twice as long.
const MIN_TIMEOUT: u64 = 1800;

/// The forms of a stream, as errors list them.
const STREAMS: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

/// Answers with a stream of events.
pub(super) async fn watch(shared: &Arc<Shared>, call: Call) -> Result<Answer, ApiError> {
    if call.accept.encoding != Encoding::Json {
        return Err(Accept::none_of(&STREAMS));
    }
    let options = ListOptions::parse(&call.query, true)?;
    options.check_fields(&call.resource)?;
    // One that ended at once would be taken for one that ran out, and asked for again at once.
    if shared.stop.is_cancelled() {
        return Err(ApiError::unavailable("The apiserver is shutting down, please try again later."));
    }
    let selection = Selection::new(&call.resource, call.namespace.as_deref(), call.name.as_deref(), &options);
    let timeout =
        options.timeout.unwrap_or_else(|| Duration::from_secs(MIN_TIMEOUT + shared.generator.below(MIN_TIMEOUT)));
    let bookmarks = options.bookmarks.then(|| {
        let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + BOOKMARK_PERIOD, BOOKMARK_PERIOD);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    });
    let cache = shared.cache(&call.resource);
    let form = cache.form(&call.resource.api_version());
    let viewer = Viewer { call, selection, form, columns_sent: false, clock: Arc::clone(&shared.clock) };
    let mut feed = Feed {
        viewer,
        head: VecDeque::new(),
        events: None,
        after: 0,
        bookmarks,
        deadline: Box::pin(tokio::time::sleep(timeout)),
        stop: Box::pin(shared.stop.clone().cancelled_owned()),
        ended: false,
    };
    if let Err(error) = feed.begin(&cache, &options).await {
        // The stream has begun in the client's eyes: errors of the start are events.
        feed.head.push_back(frame("ERROR", &error.to_json()));
        feed.ended = true;
    }
    Ok(Answer {
        code: 200,
        payload: Payload::Stream(Body::from_stream(feed)),
        warnings: Vec::new(),
        content_type: None,
    })
}

/// What a watcher is shown.
struct Viewer {
    call: Call,
    selection: Selection,
    /// That of the row: encodings are shared with those who watch the same one.
    form: Form,
    columns_sent: bool,
    /// Ages in a table are those at the time of the event, not of the request.
    clock: Arc<dyn Clock>,
}

impl Viewer {
    fn entry(&mut self, kind: &str, entry: &Entry, revision: Revision) -> Bytes {
        let stored = Stored { value: entry.value.clone(), revision };
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
    fn event(&mut self, event: &CachedEvent) -> Option<Bytes> {
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
        let resource = &self.call.resource;
        let matching = |entry: &&Arc<Entry>| self.selection.matches(resource, entry);
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

    fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Bytes {
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
fn frame(kind: &str, object: &[u8]) -> Bytes {
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(br#"{"type":""#);
    line.put_slice(kind.as_bytes());
    line.put_slice(br#"","object":"#);
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}

/// The body of a watch: what was there at its start, then what happens, until its time is over.
struct Feed {
    viewer: Viewer,
    head: VecDeque<Bytes>,
    events: Option<CacheWatch>,
    /// Events up to this revision are not shown.
    after: Revision,
    bookmarks: Option<Interval>,
    deadline: Pin<Box<Sleep>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    ended: bool,
}

impl Feed {
    async fn begin(&mut self, cache: &Cache, options: &ListOptions) -> Result<(), ApiError> {
        let from_version = options.resource_version.filter(|version| *version > 0 && !options.send_initial_events);
        if let Some(after) = from_version {
            self.after = after;
            let start = match cache.watch(self.viewer.selection.range.clone(), after).await {
                // A version that has not come yet: wait for what comes after it.
                Err(CacheError::TooNew { current, .. }) => {
                    cache.watch(self.viewer.selection.range.clone(), current).await
                }
                started => started,
            };
            self.events = Some(start?);
            return Ok(());
        }
        let freshness = options.resource_version.map_or(Freshness::Latest, Freshness::NotOlderThan);
        let snapshot = cache.read(freshness).await?;
        let viewer = &mut self.viewer;
        let range = viewer.selection.range.clone();
        for entry in snapshot.range(&range) {
            if viewer.selection.matches(&viewer.call.resource, entry) {
                let line = viewer.entry("ADDED", entry, entry.revision);
                self.head.push_back(line);
            }
        }
        if options.send_initial_events && options.bookmarks {
            self.head.push_back(viewer.bookmark(snapshot.revision, true));
        }
        self.events = Some(cache.watch(range, snapshot.revision).await?);
        Ok(())
    }
}

impl Stream for Feed {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(line) = this.head.pop_front() {
            return Poll::Ready(Some(Ok(line)));
        }
        if this.ended || this.stop.as_mut().poll(context).is_ready() || this.deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        let Some(events) = &mut this.events else { return Poll::Ready(None) };
        loop {
            match Pin::new(&mut *events).poll_next(context) {
                // The watcher lagged too far: it has to come back with the last version that it saw.
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(event)) if event.revision <= this.after => {}
                Poll::Ready(Some(event)) => {
                    if let Some(line) = this.viewer.event(&event) {
                        return Poll::Ready(Some(Ok(line)));
                    }
                }
                Poll::Pending => break,
            }
        }
        if let Some(interval) = &mut this.bookmarks
            && interval.poll_tick(context).is_ready()
        {
            let revision = events.progress();
            let line = this.viewer.bookmark(revision, false);
            // The interval must be polled again to wake this task for the next one.
            context.waker().wake_by_ref();
            return Poll::Ready(Some(Ok(line)));
        }
        Poll::Pending
    }
}
