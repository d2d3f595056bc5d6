//! Which servers there are. Each has a Lease that says that it is there, and slices of its own. Others take away the slices of one that says
//! so no more.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use orchestra_core::clock::Clock;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{NAMESPACE, endpoints::SERVER};

/// How often a server says that it is there, and for how long that counts: as nodes do.
const RENEWAL: Duration = Duration::from_secs(10);
const DURATION: Duration = Duration::from_secs(40);
const SECONDS: i32 = 40;

type Seen = (Option<MicroTime>, Instant);

/// Whether a server is there.
pub(super) enum Presence {
    /// For that long, if it says nothing new.
    There(Duration),
    /// It is not, but its Lease may be.
    Gone(Option<Box<ObjectMeta>>),
}

/// This server among the others.
#[derive(Clone)]
pub(super) struct Servers {
    leases: Api<Lease>,
    clock: Arc<dyn Clock>,
    /// When others were last seen to say something new, and what.
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
    /// This one.
    pub(super) own: String,
}

impl Servers {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>, own: String) -> Self {
        Self { leases: Api::namespaced(client, NAMESPACE), clock, seen: Arc::default(), own }
    }

    /// Says once that this server is there, as soon as that is possible.
    pub(super) async fn enter(&self) {
        while let Err(error) = self.renew().await {
            warn!(%error, "cluster DNS cannot say that it is there, trying again");
            sleep(RENEWAL / 10).await;
        }
    }

    /// Says so again and again.
    pub(super) async fn stay(&self) {
        loop {
            sleep(RENEWAL).await;
            self.enter().await;
        }
    }

    /// Says so no more.
    pub(super) async fn leave(&self) -> Result<(), kube::Error> {
        self.leases.delete(&lease_of(&self.own), &DeleteParams::default()).await.map(drop)
    }

    async fn renew(&self) -> Result<(), kube::Error> {
        let (name, own) = (lease_of(&self.own), &self.own);
        let spec = LeaseSpec {
            holder_identity: Some(own.clone()),
            lease_duration_seconds: Some(SECONDS),
            renew_time: Some(MicroTime(self.clock.now())),
            ..LeaseSpec::default()
        };
        let patch = Patch::Merge(json!({ "spec": spec }));
        match self.leases.patch(&name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(error)) if error.is_not_found() => {}
            other => return other.map(drop),
        }
        let metadata = ObjectMeta { name: Some(name), ..ObjectMeta::default() };
        self.leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await.map(drop)
    }

    /// Whether the server of a slice is there. Its Lease was there before the slice was.
    ///
    /// What counts is when this server saw the Lease renewed, as with leader election: the clocks of hosts differ.
    pub(super) async fn presence(&self, slice: &EndpointSlice) -> Result<Presence, kube::Error> {
        let Some(server) = slice.labels().get(SERVER) else { return Ok(Presence::Gone(None)) };
        let Some(lease) = self.leases.get_opt(&lease_of(server)).await? else {
            self.seen.lock().remove(server);
            return Ok(Presence::Gone(None));
        };
        let spec = lease.spec.unwrap_or_default();
        let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let (duration, now) = (duration.map_or(DURATION, Duration::from_secs), Instant::now());
        let mut all = self.seen.lock();
        let seen = all.entry(server.clone()).or_insert_with(|| (spec.renew_time.clone(), now));
        if seen.0 != spec.renew_time {
            *seen = (spec.renew_time, now);
        }
        let left = duration.saturating_sub(now.duration_since(seen.1));
        Ok(if left.is_zero() { Presence::Gone(Some(Box::new(lease.metadata))) } else { Presence::There(left) })
    }

    /// Removes the Lease of a server that is gone, unless it has come back.
    pub(super) async fn bury(&self, lease: ObjectMeta) -> Result<(), kube::Error> {
        let preconditions = Preconditions { resource_version: lease.resource_version, uid: lease.uid };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.leases.delete(&lease.name.unwrap_or_default(), &params).await {
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(()),
            deleted => deleted.map(drop),
        }
    }
}

fn lease_of(server: &str) -> String {
    format!("cluster-dns-{server}")
}
