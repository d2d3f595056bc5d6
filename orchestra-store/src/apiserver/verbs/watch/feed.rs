use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Stream;
use orchestra_core::store::{Key, KeyRange, Revision};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    bookmarks::Bookmarks,
    viewer::{Viewer, frame},
};
use crate::{
    apiserver::{ApiError, request::options::ListOptions},
    cache::{Cache, CacheError, CacheWatch, Freshness, Snapshot},
};

/// How many entries of the initial state are rendered at once.
const AT_ONCE: usize = 64;

/// The body of a watch: what was there at its start, then what happens, until its time is over.
pub(super) struct Feed {
    viewer: Viewer,
    /// What is there to be sent before anything else.
    lines: VecDeque<Bytes>,
    initial: Option<Initial>,
    events: Option<CacheWatch>,
    /// Events up to this revision are not shown.
    after: Revision,
    bookmarks: Option<Bookmarks>,
    deadline: Pin<Box<Sleep>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// What is left to send of the state at the watch's start. It is rendered bit by bit: as a whole it may be large.
struct Initial {
    snapshot: Snapshot,
    rest: KeyRange,
    /// Whether a bookmark tells its end.
    bookmark: bool,
}

impl Feed {
    pub(super) async fn begin(
        cache: &Cache,
        viewer: Viewer,
        options: &ListOptions,
        bookmarks: Option<Bookmarks>,
        deadline: Instant,
        stop: CancellationToken,
    ) -> Self {
        let mut feed = Self {
            viewer,
            lines: VecDeque::new(),
            initial: None,
            events: None,
            after: 0,
            bookmarks,
            deadline: Box::pin(tokio::time::sleep_until(deadline)),
            stop: Box::pin(stop.cancelled_owned()),
        };
        if let Err(error) = feed.start(cache, options).await {
            // The stream has begun in the client's eyes: errors of the start are events.
            feed.end_with(&error);
        }
        feed
    }

    async fn start(&mut self, cache: &Cache, options: &ListOptions) -> Result<(), ApiError> {
        let range = self.viewer.selection.range.clone();
        let asked_for = options.send_initial_events == Some(true);
        if let Some(after) = options.resource_version.filter(|version| *version > 0 && !asked_for) {
            self.after = after;
            let start = match cache.watch(range.clone(), after).await {
                // A version that has not come yet: wait for what comes after it.
                Err(CacheError::TooNew { current, .. }) => cache.watch(range, current).await,
                started => started,
            };
            self.events = Some(start?);
            return Ok(());
        }
        let freshness = options.resource_version.map_or(Freshness::Latest, Freshness::NotOlderThan);
        let snapshot = cache.read(freshness).await?;
        self.events = Some(cache.watch(range.clone(), snapshot.revision).await?);
        // Where nothing is said, a watch that names no version begins with what is there too.
        if options.send_initial_events != Some(false) {
            self.initial = Some(Initial { snapshot, rest: range, bookmark: asked_for && options.bookmarks });
        }
        Ok(())
    }

    fn end_with(&mut self, error: &ApiError) {
        self.lines.push_back(frame("ERROR", &error.to_json()));
        self.events = None;
    }

    /// Renders more of the initial state.
    fn continue_initial(&mut self) {
        let Some(Initial { snapshot, rest, bookmark }) = self.initial.take() else { return };
        let mut last = None;
        for entry in snapshot.range(&rest).take(AT_ONCE) {
            if self.viewer.shows(entry) {
                self.lines.push_back(self.viewer.entry("ADDED", entry, entry.revision));
            }
            last = Some(Key::clone(&entry.key));
        }
        match last {
            Some(last) => {
                let rest = KeyRange::between(format!("{last}\0"), rest.end().map(Key::from));
                self.initial = Some(Initial { snapshot, rest, bookmark });
            }
            None if bookmark => self.lines.push_back(self.viewer.bookmark(snapshot.revision, true)),
            None => {}
        }
    }

    /// The line of the next event; `None` when the watch is over.
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let Some(events) = &mut self.events else { return Poll::Ready(self.lines.pop_front()) };
            match std::task::ready!(Pin::new(events).poll_next(context)) {
                None => return Poll::Ready(None),
                // The watcher lagged too far: it has to list again.
                Some(Err(error)) => self.end_with(&error.into()),
                Some(Ok(event)) if event.revision <= self.after => {}
                Some(Ok(event)) => {
                    if let Some(line) = self.viewer.event(&event) {
                        return Poll::Ready(Some(line));
                    }
                }
            }
        }
    }

    /// The line that tells how far the watch is, when it is time for it. As in kube-apiserver there is none if nothing has happened
    /// since the watch began.
    fn poll_bookmark(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        let (Some(bookmarks), Some(events)) = (&mut self.bookmarks, &self.events) else { return Poll::Pending };
        loop {
            std::task::ready!(bookmarks.poll_due(context));
            let progress = events.progress();
            if progress > events.began_at().max(self.after) {
                return Poll::Ready(self.viewer.bookmark(progress, false));
            }
        }
    }
}

impl Stream for Feed {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        while this.lines.is_empty() && this.initial.is_some() {
            this.continue_initial();
        }
        if let Some(line) = this.lines.pop_front() {
            return Poll::Ready(Some(Ok(line)));
        }
        if this.stop.as_mut().poll(context).is_ready() || this.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(line) = this.poll_event(context) {
            return Poll::Ready(line.map(Ok));
        }
        this.poll_bookmark(context).map(|line| Some(Ok(line)))
    }
}
