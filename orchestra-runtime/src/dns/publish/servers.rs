//! Which servers there are. Each has a Lease that says that it is there, and slices of its own. Others take away the slices of one that says
//! so no more.

use std::{sync::Arc, time::Duration};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use orchestra_core::clock::Clock;
use serde_json::json;
use tokio::time::sleep;
use tracing::warn;

use super::{NAMESPACE, endpoints::SERVER};

/// How often a server says that it is there, and for how long that counts: as nodes do.
const RENEWAL: Duration = Duration::from_secs(10);
pub(super) const DURATION: Duration = Duration::from_secs(40);
const SECONDS: i32 = 40;

/// This server among the others.
#[derive(Clone)]
pub(super) struct Servers {
    leases: Api<Lease>,
    clock: Arc<dyn Clock>,
    /// This one.
    pub(super) own: String,
}

impl Servers {
    pub(super) fn new(client: Client, clock: Arc<dyn Clock>, own: String) -> Self {
        Self { leases: Api::namespaced(client, NAMESPACE), clock, own }
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
    pub(super) async fn is_there(&self, slice: &EndpointSlice) -> Result<bool, kube::Error> {
        let Some(server) = slice.labels().get(SERVER) else { return Ok(false) };
        let lease = self.leases.get_opt(&lease_of(server)).await?;
        let renewed = lease.and_then(|lease| lease.spec?.renew_time);
        let end = renewed.and_then(|MicroTime(renewed)| renewed.checked_add(DURATION).ok());
        Ok(end.is_some_and(|end| end > self.clock.now()))
    }
}

fn lease_of(server: &str) -> String {
    format!("cluster-dns-{server}")
}
