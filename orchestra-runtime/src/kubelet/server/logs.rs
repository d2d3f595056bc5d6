//! `/containerLogs`: what a container wrote.

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, future, stream};
use http::{Uri, header};
use jiff::{SignedDuration, Timestamp};
use orchestra_core::container_runtime::{LogLine, LogOptions, LogSource, RuntimeStream};

use super::{Refusal, Server, pods, query::Query};

/// What of a log is to be told, and how.
struct Wanted {
    previous: bool,
    lines: LogOptions,
    timestamps: bool,
    source: Option<LogSource>,
    /// Bytes after which it is cut off.
    limit: Option<usize>,
}

impl Wanted {
    fn parse(query: &Query, now: Timestamp) -> Result<Self, Refusal> {
        let malformed = |name: &str| Refusal::bad_request(format!("unable to decode query: {name}"));
        let number = |name: &'static str| {
            query.get(name).map(|text| text.parse::<u64>().map_err(|_| malformed(name))).transpose()
        };
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let ago = |seconds| now.checked_sub(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)));
        let since_time = query.get("sinceTime").map(|text| text.parse().map_err(|_| malformed("sinceTime")));
        let since = match number("sinceSeconds")? {
            // Longer ago than there is time.
            Some(seconds) => ago(seconds).ok(),
            None => since_time.transpose()?,
        };
        let source = match query.get("stream") {
            None | Some("All") => None,
            Some("Stdout") => Some(LogSource::Stdout),
            Some("Stderr") => Some(LogSource::Stderr),
            Some(other) => return Err(Refusal::bad_request(format!("unsupported log stream {other:?}"))),
        };
        Ok(Self {
            previous: query.flag("previous"),
            lines: LogOptions { follow: query.flag("follow"), tail: number("tailLines")?.map(size), since },
            timestamps: query.flag("timestamps"),
            source,
            limit: number("limitBytes")?.map(size),
        })
    }

    fn render(&self, line: &LogLine) -> Bytes {
        let mut text = Vec::with_capacity(line.line.len() + 32);
        if self.timestamps {
            text.extend_from_slice(line.at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string().as_bytes());
        }
        text.extend_from_slice(&line.line);
        if !line.goes_on {
            text.push(b'\n');
        }
        text.into()
    }
}

pub(super) async fn serve(
    Extension(server): Extension<Arc<Server>>,
    Path((namespace, name, container)): Path<(String, String, String)>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let wanted = Wanted::parse(&Query::of(&uri), server.clock.now())?;
    let runtime = &*server.runtime;
    let pods = &server.served.pods;
    let no_pod = |_| Refusal::not_found(format!("pod {name:?} does not exist\n"));
    let pod = pods.find(&namespace, &name).map_err(no_pod)?;
    if !pods::has_container(&pod, &container) {
        return Err(Refusal::not_found(format!("container {container:?} not found in pod {name:?}\n")));
    }
    let id = pods::logged(runtime, &pod, &container, wanted.previous).await?;
    let lines = runtime.logs(&id, wanted.lines.clone()).await.map_err(Refusal::bad_request)?;
    let stop = server.served.stop.clone().cancelled_owned();
    let body = Body::from_stream(text(lines, wanted).take_until(stop));
    Ok(([(header::CONTENT_TYPE, "text/plain")], body).into_response())
}

/// The log as text. A runtime that fails midway breaks it off.
fn text(
    lines: RuntimeStream<LogLine>,
    wanted: Wanted,
) -> impl Stream<Item = Result<Bytes, orchestra_core::container_runtime::RuntimeError>> {
    let left = wanted.limit.unwrap_or(usize::MAX);
    let pieces = lines.filter_map(move |line| {
        future::ready(match line {
            Ok(line) if wanted.source.is_some_and(|source| source != line.source) => None,
            Ok(line) => Some(Ok(wanted.render(&line))),
            Err(error) => Some(Err(error)),
        })
    });
    // When there is room for no more the end is told at once: of a log that is followed the next line may never come.
    stream::unfold((pieces, left), |(mut pieces, left)| async move {
        if left == 0 {
            return None;
        }
        let mut piece = pieces.next().await?;
        let mut size = 0;
        if let Ok(piece) = &mut piece {
            piece.truncate(left);
            size = piece.len();
        }
        Some((piece, (pieces, left - size)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LogLine {
        let at = Timestamp::UNIX_EPOCH;
        LogLine { at, source: LogSource::Stdout, line: text.as_bytes().to_vec(), goes_on: false }
    }

    #[tokio::test(start_paused = true)]
    async fn a_followed_log_ends_when_its_limit_is_reached() {
        for (limit, expected) in [(2, "on"), (3, "one"), (6, "one\ntw"), (8, "one\ntwo\n")] {
            let query = Query::of(&format!("/?follow=true&limitBytes={limit}").parse().unwrap());
            let wanted = Wanted::parse(&query, Timestamp::UNIX_EPOCH).unwrap();
            let lines = stream::iter([Ok(line("one")), Ok(line("two"))]).chain(stream::pending());
            let told = text(lines.boxed(), wanted).map(Result::unwrap).collect::<Vec<_>>();
            let told = tokio::time::timeout(std::time::Duration::from_secs(60), told).await;
            let told = told.expect("it ends").concat();
            assert_eq!(String::from_utf8(told).unwrap(), expected);
        }
    }
}
