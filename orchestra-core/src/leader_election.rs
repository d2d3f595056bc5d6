//! Leader election by a `Lease`, as client-go's: of several processes only one works, and another takes over when it dies.

use std::{future::Future, sync::Arc, time::Duration};

use jiff::SignedDuration;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::clock::Clock;

/// Which lease is held by whom, and for how long.
#[derive(Clone, Debug)]
pub struct LeaderElectionConfig {
    /// The lease's namespace.
    pub namespace: String,
    /// The lease's name, the same for all candidates.
    pub name: String,
    /// This candidate's name, different from the others'.
    pub identity: String,
    /// How long a lease is respected after it was last seen to change.
    pub lease_duration: Duration,
    /// How long the leader tries to renew before it gives up; less than `lease_duration`.
    pub renew_deadline: Duration,
    /// The time between attempts.
    pub retry_period: Duration,
}

impl LeaderElectionConfig {
    /// The usual times: 15 s, 10 s and 2 s.
    pub fn new(namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// The lease could not be renewed in time: another candidate may lead now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leader election lost")]
pub struct LeadershipLost;

/// A candidate for leadership.
///
/// Other candidates' leases are judged by when *this* process saw them change, never by comparing clocks.
pub struct LeaderElector {
    api: Api<Lease>,
    config: LeaderElectionConfig,
    clock: Arc<dyn Clock>,
}

/// The lease as it was last seen.
struct Observed {
    lease: Lease,
    at: Instant,
}

impl LeaderElector {
    /// A candidate that has not begun.
    pub fn new(client: Client, config: LeaderElectionConfig, clock: Arc<dyn Clock>) -> Self {
        Self { api: Api::namespaced(client, &config.namespace), config, clock }
    }

    /// Waits to become leader, then runs `lead`. Returns `Ok` when `stop` is cancelled or the work ends by itself, and then
    /// gives the lease up for the next; returns [`LeadershipLost`] when it could not be renewed, after the work, whose token
    /// is cancelled at once, has ended.
    pub async fn run<F: Future<Output = ()>>(
        self,
        stop: CancellationToken,
        lead: impl FnOnce(CancellationToken) -> F,
    ) -> Result<(), LeadershipLost> {
        let Some(observed) = stop.run_until_cancelled(self.acquire()).await else { return Ok(()) };
        info!(lease = %self.config.name, identity = %self.config.identity, "leading");
        let leading = stop.child_token();
        let mut work = std::pin::pin!(lead(leading.clone()));
        let result = tokio::select! {
            biased;
            () = &mut work => Ok(()),
            lost = self.keep(observed) => Err(lost),
        };
        if result.is_err() {
            leading.cancel();
            work.await;
        } else {
            self.release().await;
        }
        result
    }

    async fn acquire(&self) -> Observed {
        let mut observed = None;
        loop {
            if self.try_once(&mut observed).await
                && let Some(observed) = observed
            {
                return observed;
            }
            tokio::time::sleep(self.config.retry_period).await;
        }
    }

    async fn keep(&self, observed: Observed) -> LeadershipLost {
        let mut observed = Some(observed);
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.config.retry_period).await;
            let deadline = renewed + self.config.renew_deadline;
            match tokio::time::timeout_at(deadline, self.try_once(&mut observed)).await {
                Ok(true) => renewed = Instant::now(),
                Ok(false) if Instant::now() < deadline => {}
                _ => return LeadershipLost,
            }
        }
    }

    /// Takes or renews the lease; `false` if another holds it or the server does not answer.
    async fn try_once(&self, observed: &mut Option<Observed>) -> bool {
        let result = match self.api.get_opt(&self.config.name).await {
            Ok(None) => self.api.create(&PostParams::default(), &self.new_lease()).await,
            Ok(Some(lease)) => {
                if observed.as_ref().is_none_or(|o| o.lease.spec != lease.spec) {
                    *observed = Some(Observed { lease: lease.clone(), at: Instant::now() });
                }
                let since = observed.as_ref().map_or_else(Instant::now, |o| o.at);
                if self.held_by_another(&lease, since) {
                    return false;
                }
                self.api.replace(&self.config.name, &PostParams::default(), &self.renewed(lease)).await
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(lease) => {
                *observed = Some(Observed { lease, at: Instant::now() });
                true
            }
            Err(error) => {
                debug!(%error, lease = %self.config.name, "lease not taken");
                false
            }
        }
    }

    fn held_by_another(&self, lease: &Lease, since: Instant) -> bool {
        let Some(spec) = &lease.spec else { return false };
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let seconds = u64::try_from(spec.lease_duration_seconds.unwrap_or(0)).unwrap_or(0);
        !holder.is_empty() && holder != self.config.identity && since.elapsed() < Duration::from_secs(seconds)
    }

    fn new_lease(&self) -> Lease {
        let now = MicroTime(self.clock.now());
        Lease {
            metadata: ObjectMeta { name: Some(self.config.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.config.identity.clone()),
                lease_duration_seconds: Some(whole_seconds(self.config.lease_duration)),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        }
    }

    /// `lease` as held by this candidate from now on; its resourceVersion stays, so a rival's write makes ours fail.
    fn renewed(&self, mut lease: Lease) -> Lease {
        let new = self.new_lease().spec.unwrap_or_default();
        let old = lease.spec.take().unwrap_or_default();
        let ours = old.holder_identity == new.holder_identity;
        lease.spec = Some(LeaseSpec {
            acquire_time: if ours { old.acquire_time } else { new.acquire_time },
            lease_transitions: Some(old.lease_transitions.unwrap_or(0) + i32::from(!ours)),
            holder_identity: new.holder_identity,
            lease_duration_seconds: new.lease_duration_seconds,
            renew_time: new.renew_time,
            ..old
        });
        lease
    }

    /// Lets the next candidate take over at once. Best effort: an unreleased lease runs out by itself.
    async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.config.name).await else { return };
        let Some(spec) = lease.spec.as_mut() else { return };
        if spec.holder_identity.as_deref() != Some(&self.config.identity) {
            return;
        }
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(self.clock.now()));
        let released = self.api.replace(&self.config.name, &PostParams::default(), &lease).await;
        if let Err(error) = released {
            debug!(%error, lease = %self.config.name, "lease not released");
        }
    }
}

fn whole_seconds(duration: Duration) -> i32 {
    let seconds = SignedDuration::try_from(duration).map_or(i64::MAX, |d| d.as_secs());
    i32::try_from(seconds).unwrap_or(i32::MAX)
}
