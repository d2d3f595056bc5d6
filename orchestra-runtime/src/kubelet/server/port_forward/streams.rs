//! Port forwarding over SPDY (`httpstream.go` of the kubelet): for each connection the client opens a stream for errors and one for data.

use std::collections::HashMap;

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};

use super::Target;
use crate::spdy::{self, Offer, Offers, Stream};

/// The streams of one connection, as far as they were opened.
#[derive(Default)]
struct Pair {
    error: Option<Stream>,
    data: Option<Stream>,
}

/// Serves connections until the client goes.
pub(super) async fn serve(connection: impl AsyncRead + AsyncWrite + Send + 'static, target: Target) {
    let (session, offers, driver) = spdy::server(connection);
    tokio::select! {
        // It ends only with the offers, and they with the driver.
        () = take_all(offers, &target) => {}
        _ = driver => {}
    }
    session.close();
}

async fn take_all(mut offers: Offers, target: &Target) {
    let mut pairs = HashMap::<String, Pair>::new();
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = connections.next() => {}
            offer = offers.recv() => {
                let Some(offer) = offer else { return };
                if let Some((port, error, data)) = take(offer, &mut pairs).await {
                    connections.push(forward(target, port, error, data));
                }
            }
        }
    }
}

/// Takes a stream; both and the port, if it completes a connection.
async fn take(offer: Offer, pairs: &mut HashMap<String, Pair>) -> Option<(u16, Stream, Stream)> {
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
    let stream = offer.accept().await.ok()?;
    let pair = pairs.entry(request.clone()).or_default();
    *(if is_error { &mut pair.error } else { &mut pair.data }) = Some(stream);
    if pair.error.is_none() || pair.data.is_none() {
        return None;
    }
    let Pair { error, data } = pairs.remove(&request)?;
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
