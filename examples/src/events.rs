//! Prints the events of a namespace as they happen, like `kubectl get events --watch`.

use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::{Client, core::WatchEvent};

use crate::{
    namespaces::Namespaces,
    table::{self, Row, Table},
};

/// Widths for the columns Last Seen, Type, Reason, Object; the message ends the line.
const WIDTHS: [usize; 4] = [12, 9, 20, 38];
/// The width of the column Namespace, which comes first where there is one.
const NAMESPACE_WIDTH: usize = 16;

/// The events of all namespaces that happen from now on.
pub async fn watch(
    client: &Client,
) -> Result<impl Stream<Item = Result<WatchEvent<Table>, kube::Error>> + use<>, kube::Error> {
    client.request_events::<Table>(table::request("/api/v1/events?watch=1")?).await
}

/// A line for each event in `namespaces`, in order; the first line is the heading.
pub fn lines(
    events: impl Stream<Item = Result<WatchEvent<Table>, kube::Error>>,
    namespaces: Namespaces,
) -> impl Stream<Item = Result<String, kube::Error>> {
    let heading = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"].map(str::to_owned);
    let heading = line(namespaces.column().map(str::to_uppercase), &heading);
    let printed = move |event| std::future::ready(printed(event, &namespaces));
    futures::stream::once(async { Ok(heading) }).chain(events.filter_map(printed))
}

/// What to print for one event of the watch: its rows, nothing for deletions and bookmarks.
fn printed(
    event: Result<WatchEvent<Table>, kube::Error>,
    namespaces: &Namespaces,
) -> Option<Result<String, kube::Error>> {
    match event {
        Ok(WatchEvent::Added(table) | WatchEvent::Modified(table)) => {
            let shown = table.rows.iter().filter(|row| namespaces.has(row.namespace()));
            let lines: Vec<_> = shown.map(|row| event_line(row, namespaces)).collect();
            (!lines.is_empty()).then(|| Ok(lines.join("\n")))
        }
        Ok(WatchEvent::Error(status)) => Some(Err(kube::Error::Api(status))),
        Ok(WatchEvent::Deleted(_) | WatchEvent::Bookmark(_)) => None,
        Err(error) => Some(Err(error)),
    }
}

/// How long no event may come before a cluster at rest counts as quiet.
pub const QUIET: Duration = Duration::from_millis(500);

/// The columns that are shown without `-o wide`: Last Seen, Type, Reason, Object, Message.
fn event_line(row: &Row, namespaces: &Namespaces) -> String {
    let text = |i: usize| row.cells.get(i).map(table::cell_text).unwrap_or_default();
    // Subobject and source (columns 4 and 5) are wide ones; the message is the seventh.
    line(namespaces.column().map(|_| row.namespace().to_owned()), &[text(0), text(1), text(2), text(3), text(6)])
}

fn line(namespace: Option<String>, cells: &[String; 5]) -> String {
    let namespace = namespace.map(|namespace| format!("{namespace:<NAMESPACE_WIDTH$}")).unwrap_or_default();
    namespace + &table::align(cells, &WIDTHS)
}
