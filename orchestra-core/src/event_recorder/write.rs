use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::{
    Client, Resource,
    api::{Patch, PatchParams, PostParams, Request},
};
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use super::{
    Message, Source,
    correlate::{Correlator, Outcome},
};

/// How often a write is tried, and how long to wait between: client-go's figures.
const ATTEMPTS: u32 = 12;
const PAUSE: Duration = Duration::from_secs(10);

/// Writes what arrives until all recorders are gone.
pub(super) async fn run(client: Client, source: Source, mut messages: mpsc::Receiver<Message>) {
    let mut correlator = Correlator::new(source);
    while let Some(message) = messages.recv().await {
        match message {
            Message::Occurred(occurrence) => write(&client, correlator.correlate(*occurrence)).await,
            // Nobody waits any more if it cannot be sent.
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

async fn write(client: &Client, outcome: Outcome) {
    for attempt in 1..=ATTEMPTS {
        let result = match &outcome {
            Outcome::Create(event) => create(client, event).await,
            Outcome::Repeat { name, patch, anew } => repeat(client, name, patch, anew).await,
            Outcome::Drop => return,
        };
        match result {
            Ok(()) => return,
            // The server has judged: trying again will not help. A namespace that is going away takes no events, for one.
            Err(kube::Error::Api(status)) if status.code < 500 && status.code != 429 => {
                debug!(message = %status.message, "event refused");
                return;
            }
            Err(error) if attempt == ATTEMPTS => warn!(%error, "event given up"),
            Err(error) => {
                warn!(%error, "event not written, trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn events_of(event: &Event) -> Request {
    Request::new(Event::url_path(&(), event.metadata.namespace.as_deref().or(Some("default"))))
}

async fn create(client: &Client, event: &Event) -> Result<(), kube::Error> {
    let json = serde_json::to_vec(event).map_err(kube::Error::SerdeError)?;
    let request = events_of(event).create(&PostParams::default(), json).map_err(kube::Error::BuildRequest)?;
    // The answer says nothing that is not known.
    client.request::<IgnoredAny>(request).await.map(drop)
}

async fn repeat(client: &Client, name: &str, patch: &Value, anew: &Event) -> Result<(), kube::Error> {
    let request = events_of(anew).patch(name, &PatchParams::default(), &Patch::Merge(patch));
    match client.request::<IgnoredAny>(request.map_err(kube::Error::BuildRequest)?).await {
        // It expired, or somebody deleted it.
        Err(kube::Error::Api(status)) if status.code == 404 => create(client, anew).await,
        other => other.map(drop),
    }
}
