//! Prints the events of a namespace as they happen, like `kubectl get events --watch`.

use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::{Client, core::WatchEvent};

use crate::table::{self, Table};

/// Widths for the columns Last Seen, Type, Reason, Object; the message ends the line.
const WIDTHS: [usize; 4] = [12, 9, 20, 38];

/// The events of the client's namespace that happen from now on, a line each, in order; the first line is the heading.
pub async fn lines(client: &Client) -> Result<impl Stream<Item = Result<String, kube::Error>> + use<>, kube::Error> {
    let namespace = client.default_namespace();
    let path = format!("/api/v1/namespaces/{namespace}/events?watch=1");
    let events = client.request_events::<Table>(table::request(&path)?).await?;
    let rows = events.filter_map(|event| std::future::ready(printed(event)));
    let heading = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned);
    let heading = table::align(&heading, &WIDTHS);
    Ok(futures::stream::once(async { Ok(heading) }).chain(rows))
}

/// What to print for one event of the watch: its rows, nothing for deletions and bookmarks.
fn printed(event: Result<WatchEvent<Table>, kube::Error>) -> Option<Result<String, kube::Error>> {
    match event {
        Ok(WatchEvent::Added(table) | WatchEvent::Modified(table)) => Some(Ok(rows(&table).join("\n"))),
        Ok(WatchEvent::Error(status)) => Some(Err(kube::Error::Api(status))),
        Ok(WatchEvent::Deleted(_) | WatchEvent::Bookmark(_)) => None,
        Err(error) => Some(Err(error)),
    }
}

/// How long no event may come before a cluster at rest counts as quiet.
pub const QUIET: Duration = Duration::from_millis(500);

/// The rows of the columns that are shown without `-o wide`: Last Seen, Type, Reason, Object, Message.
fn rows(table: &Table) -> Vec<String> {
    table
        .rows
        .iter()
        .map(|row| {
            let text = |i: usize| row.cells.get(i).map(table::cell_text).unwrap_or_default();
            // Subobject and source (columns 4 and 5) are wide ones; the message is the seventh.
            table::align(&[text(0), text(1), text(2), text(3), text(6)], &WIDTHS)
        })
        .collect()
}
