//! Watches: a list and what happens after it, as a stream of lines.

mod bookmarks;
mod feed;
mod viewer;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use tokio::time::Instant;

use self::{bookmarks::Bookmarks, feed::Feed, viewer::Viewer};
use super::{Answer, Call, Payload};
use crate::apiserver::{
    ApiError,
    request::{
        negotiate::{Accept, Encoding},
        options::ListOptions,
    },
    selection::Selection,
    server::Shared,
};

/// The least time that a watch lasts if the client names none; up to twice as long.
const MIN_TIMEOUT: u64 = 1800;

/// The most that it lasts, whatever the client names.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3_600);

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
    let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
    let cache = shared.cache(&call.resource);
    let form = cache.form(&call.resource.api_version());
    let viewer = Viewer { call, selection, form, columns_sent: false, clock: Arc::clone(&shared.clock) };
    let bookmarks = options.bookmarks.then(|| Bookmarks::until(deadline));
    let feed = Feed::begin(&cache, viewer, &options, bookmarks, deadline, shared.stop.clone()).await;
    Ok(Answer {
        code: 200,
        payload: Payload::Stream(Body::from_stream(feed)),
        warnings: Vec::new(),
        content_type: None,
    })
}
