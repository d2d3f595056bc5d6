use std::{pin::pin, time::Duration};

use futures::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client,
    core::ApiResource,
    runtime::watcher::{self, Event},
};
use tracing::{debug, warn};

use super::{
    Informed,
    wire::{Decoded, Wire},
};
use crate::backoff::Backoff;

/// The delays between attempts while the server does not answer.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_secs(30) };

/// What a list-watch of `K` tells, in a namespace or in all of them: as kube's [`watcher`](watcher::watcher), with less machine code for
/// each type. An object that cannot be decoded is an error, after which it begins again with a list.
///
/// ```no_run
/// # async fn example(client: kube::Client) {
/// use k8s_openapi::api::core::v1::Pod;
/// use kube::runtime::watcher::Config;
/// use orchestra_core::informer::{follow, list_watch};
///
/// let events = list_watch::<Pod>(client, None, Config::default().fields("spec.nodeName=n1"));
/// follow(events, "Pod", |event| println!("{event:?}")).await;
/// # }
/// ```
pub fn list_watch<K: Informed>(
    client: Client,
    namespace: Option<&str>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send + use<K> {
    decoded(client, namespace, config, |Decoded { object, .. }| object)
}

/// As [`list_watch`], of what `keep` takes of the objects and what was written of them.
pub(super) fn decoded<K: Informed, T: Send>(
    client: Client,
    namespace: Option<&str>,
    config: watcher::Config,
    keep: fn(Decoded<K>) -> T,
) -> impl Stream<Item = watcher::Result<Event<T>>> + Send + use<K, T> {
    let kind = ApiResource::erase::<K>(&());
    let api = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &kind),
        None => Api::all_with(client, &kind),
    };
    let events = begin(&api, &config);
    stream::unfold((events, api, config), move |(mut events, api, config)| async move {
        let event = match events.next().await? {
            Ok(event) => decode(event, keep),
            Err(error) => return Some((Err(error), (events, api, config))),
        };
        if event.is_err() {
            // Nobody is to take the objects for all there are while one of them is missing.
            events = begin(&api, &config);
        }
        Some((event, (events, api, config)))
    })
}

fn begin(api: &Api<Wire>, config: &watcher::Config) -> BoxStream<'static, watcher::Result<Event<Wire>>> {
    watcher::watcher(api.clone(), config.clone()).boxed()
}

fn decode<K: Informed, T>(event: Event<Wire>, keep: fn(Decoded<K>) -> T) -> watcher::Result<Event<T>> {
    let decode = |wire: Wire| wire.decode().map(keep).map_err(kube::Error::SerdeError);
    Ok(match event {
        Event::Init => Event::Init,
        Event::InitApply(wire) => Event::InitApply(decode(wire).map_err(watcher::Error::InitialListFailed)?),
        Event::InitDone => Event::InitDone,
        Event::Apply(wire) => Event::Apply(decode(wire).map_err(watcher::Error::WatchFailed)?),
        Event::Delete(wire) => Event::Delete(decode(wire).map_err(watcher::Error::WatchFailed)?),
    })
}

/// Hands on what a list-watch of `kind` tells, until it ends. kube's watchers go on by themselves after a failure, but at once; here
/// they are given time, more of it with each failure in a row.
pub async fn follow<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    kind: &str,
    mut hear: impl FnMut(Event<K>),
) {
    let mut events = pin!(events);
    let mut failures = 0;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // A list that has begun may fail again where it failed before.
                if !matches!(event, Event::Init | Event::InitApply(_)) {
                    failures = 0;
                }
                hear(event);
            }
            Err(error) => {
                if is_unserved(&error) {
                    // A kind that is not there need not come: no reason to worry.
                    debug!(kind, %error, "not served");
                } else {
                    warn!(kind, %error, "list-watch failed, trying again");
                }
                tokio::time::sleep(BACKOFF.delay(failures)).await;
                failures += 1;
            }
        }
    }
}

/// Whether the API server has no such kind.
pub(super) fn is_unserved(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}
