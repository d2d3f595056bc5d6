//! Port forwarding over SPDY (`httpstream.go` of the kubelet): for each connection the client opens a stream for errors and one for data.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    time::{Instant, sleep_until},
};

use super::Target;
use crate::{
    kubelet::server::idle::Noted,
    spdy::{self, Offer, Offers, Stream},
};

/// How long the client may take to open the second stream (`DefaultStreamCreationTimeout`).
const OPENING: Duration = Duration::from_secs(30);

/// The streams of one connection, as far as they were opened.
struct Pair {
    /// When the other one has to be there.
    until: Instant,
    error: Option<Stream>,
    data: Option<Stream>,
}

/// Serves connections until the client goes, or nothing goes over them any more.
pub(super) async fn serve(connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, target: Target) {
    let (connection, activity) = Noted::new(connection);
    let (session, offers, driver) = spdy::server(connection);
    tokio::select! {
        // It ends only with the offers, and they with the driver.
        () = take_all(offers, &target) => {}
        _ = driver => {}
        () = activity.ceased() => {}
    }
    session.close();
}

async fn take_all(mut offers: Offers, target: &Target) {
    let mut pairs = Pairs::new();
    let mut connections = FuturesUnordered::new();
    let mut given_up = FuturesUnordered::new();
    loop {
        let due = pairs.values().map(|pair| pair.until).min();
        tokio::select! {
            Some(()) = connections.next() => {}
            Some(()) = given_up.next() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                given_up.extend(overdue(&mut pairs).into_iter().map(|(request, pair)| give_up(request, pair)));
            }
            offer = offers.recv() => {
                let Some(offer) = offer else { return };
                if let Some((port, error, data)) = take(offer, &mut pairs).await {
                    connections.push(forward(target, port, error, data));
                }
            }
        }
    }
}

/// By the ids of requests.
type Pairs = BTreeMap<String, Pair>;

/// Takes out those that wait for their second stream no longer.
fn overdue(pairs: &mut Pairs) -> Vec<(String, Pair)> {
    let now = Instant::now();
    let requests: Vec<String> =
        pairs.iter().filter(|(_, pair)| pair.until <= now).map(|(request, _)| request.clone()).collect();
    requests.into_iter().filter_map(|request| pairs.remove_entry(&request)).collect()
}

async fn give_up(request: String, pair: Pair) {
    let Some(mut error) = pair.error else { return };
    // Nobody is left to tell if these fail.
    let _ = error.write_all(format!("(request={request}) timed out waiting for streams").as_bytes()).await;
    let _ = error.shutdown().await;
}

/// Takes a stream; both and the port, if it completes a connection.
async fn take(offer: Offer, pairs: &mut Pairs) -> Option<(u16, Stream, Stream)> {
    let header = |name: &str| offer.headers().get(name).cloned();
    // One without a port is refused by being dropped, and so is one that is neither.
    let port = header("port")?.parse::<u16>().ok().filter(|port| *port > 0)?;
    let is_error = match header("streamtype")?.as_str() {
        "error" => true,
        "data" => false,
        _ => return None,
    };
    // Clients from before there were request ids open the data's stream right after the error's.
    let old = if is_error { offer.id() } else { offer.id().saturating_sub(2) };
    let request = header("requestid").unwrap_or_else(|| format!("stream {old}"));
    let until = Instant::now() + OPENING;
    let new = || Pair { until, error: None, data: None };
    let pair = pairs.entry(request.clone()).or_insert_with(new);
    let place = if is_error { &mut pair.error } else { &mut pair.data };
    // Another of its kind is refused too.
    if place.is_none() {
        *place = Some(offer.accept().await.ok()?);
    }
    if pair.error.is_none() || pair.data.is_none() {
        return None;
    }
    let Pair { error, data, .. } = pairs.remove(&request)?;
    Some((port, error?, data?))
}

async fn forward(target: &Target, port: u16, mut error: Stream, mut data: Stream) {
    let failure = match target.connect(port).await {
        Ok(mut connection) => match copy_bidirectional(&mut data, &mut connection).await {
            // A client that has enough breaks the stream off.
            Err(error) if !data.is_reset() => Some(target.failure(port, &error)),
            _ => None,
        },
        Err(failure) => Some(failure),
    };
    // Nobody is left to tell if these fail.
    if let Some(failure) = failure {
        let _ = error.write_all(failure.as_bytes()).await;
    }
    let _ = error.shutdown().await;
    let _ = data.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use orchestra_core::{clock::TokioClock, container_runtime::SandboxId};
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::{
        container::MemoryRuntime,
        kubelet::server::{Served, Server},
        spdy::Headers,
    };

    fn target() -> Target {
        let clock = Arc::new(TokioClock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()));
        let runtime = Arc::new(MemoryRuntime::new());
        let server = Server { node: "n1".to_owned(), runtime, clock, machine: None, served: Served::default() };
        Target { server: Arc::new(server), sandbox: SandboxId("s".into()), pod: "web".into(), uid: "u".into() }
    }

    fn headers(kind: &str) -> Headers {
        [("streamtype", kind), ("port", "80"), ("requestid", "7")]
            .map(|(name, value)| (name.into(), value.into()))
            .into()
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_connection_is_given_up_in_time_and_has_one_stream_of_each_kind() {
        let (near, far) = tokio::io::duplex(64 << 10);
        let (session, _offers, driver) = spdy::client(near);
        tokio::spawn(driver);
        let serving = tokio::spawn(async move { serve(far, target()).await });
        let begun = Instant::now();
        let mut error = session.open(headers("error")).await.unwrap();
        assert!(session.open(headers("error")).await.is_err());
        let mut said = String::new();
        error.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "(request=7) timed out waiting for streams");
        assert_eq!(begun.elapsed(), OPENING);
        // The same request may be made anew.
        let mut error = session.open(headers("error")).await.unwrap();
        let _data = session.open(headers("data")).await.unwrap();
        let mut said = String::new();
        error.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("error forwarding port 80 to pod web, uid u: "), "{said}");
        session.close();
        serving.await.unwrap();
    }
    #[tokio::test(start_paused = true)]
    async fn a_connection_over_which_nothing_goes_is_ended_after_four_hours() {
        let (near, _far) = tokio::io::duplex(64);
        let begun = Instant::now();
        serve(near, target()).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(4 * 60 * 60));
    }
}
