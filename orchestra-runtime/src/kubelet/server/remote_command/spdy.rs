//! Remote commands over SPDY (`httpstream.go` of the kubelet): the client opens a stream for each of the process' streams.

use std::{collections::HashMap, time::Duration};

use axum::response::Response;
use http::request::Parts;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tracing::debug;

use super::{
    Ends, Target,
    ends::{Reader, Writer},
};
use crate::{
    kubelet::server::{Refusal, Served, idle::Noted, spdy_upgrade},
    spdy::{self, Offers, Stream},
};

const V4: &str = "v4.channel.k8s.io";
const V3: &str = "v3.channel.k8s.io";
const PROTOCOLS: [&str; 4] = [V4, V3, "v2.channel.k8s.io", "channel.k8s.io"];

/// How long the client may take to open all streams (`DefaultStreamCreationTimeout`).
const OPENING: Duration = Duration::from_secs(30);

pub(super) fn serve(served: &Served, head: &mut Parts, target: Target) -> Result<Response, Refusal> {
    let (connection, protocol, answer) = spdy_upgrade::accept(head, &PROTOCOLS)?;
    served.spawn(async move {
        let Ok(connection) = connection.await else { return };
        let (connection, activity) = Noted::new(TokioIo::new(connection));
        let (session, mut offers, driver) = spdy::server(connection);
        let work = async move {
            match timeout(OPENING, opened(&mut offers, protocol, &target)).await {
                Ok(Some(ends)) => target.run(ends).await,
                Ok(None) => debug!("the client of a remote command went before it had opened all streams"),
                Err(_) => debug!("the client of a remote command did not open all streams in time"),
            }
            session.close();
        };
        let mut driver = std::pin::pin!(driver);
        tokio::select! {
            // What is written still has to be sent.
            () = work => drop(driver.await),
            _ = &mut driver => {}
            () = activity.ceased() => debug!("nothing went over a remote command for too long"),
        }
    });
    Ok(answer)
}

/// The client's ends, when it has opened a stream for each.
async fn opened(offers: &mut Offers, protocol: &'static str, target: &Target) -> Option<Ends> {
    let streams = target.streams;
    let resize = streams.tty && [V4, V3].contains(&protocol);
    let all = [
        ("error", true),
        ("stdin", streams.stdin),
        ("stdout", streams.stdout),
        ("stderr", streams.stderr),
        ("resize", resize),
    ];
    let mut missing: Vec<&str> = all.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name).collect();
    let mut opened = HashMap::<&str, Stream>::new();
    while !missing.is_empty() {
        let offer = offers.recv().await?;
        let kind = offer.headers().get("streamtype").map(String::as_str).unwrap_or_default();
        // Any other is refused by being dropped.
        let Some(place) = missing.iter().position(|name| *name == kind) else { continue };
        opened.insert(missing.swap_remove(place), offer.accept().await.ok()?);
    }
    let mut take = |name| opened.remove(name);
    let writer = |stream: Stream| Box::pin(stream) as Writer;
    let reader = |stream: Stream| Box::pin(stream) as Reader;
    Some(Ends {
        error: writer(take("error")?),
        stdin: take("stdin").map(reader),
        stdout: take("stdout").map(writer),
        stderr: take("stderr").map(writer),
        resize: take("resize").map(reader),
        json: protocol == V4,
    })
}
