//! What happens to containers: what the runtime tells, if it has events (containerd since 1.7), and what its list tells from time to time.

mod known;
mod reliance;

use std::sync::atomic::Ordering;

use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use k8s_cri::v1::{ContainerEventResponse, GetEventsRequest};
use orchestra_core::container_runtime::{ContainerEvent, ContainerFilter, RuntimeError, RuntimeStream};
use tokio::time::{Instant, sleep_until};
use tonic::{Code, Status};

use self::{known::Known, reliance::may_lose_events};
use super::{CriRuntime, error::Subject};

impl CriRuntime {
    pub(super) async fn listen(&self) -> Result<RuntimeStream<ContainerEvent>, RuntimeError> {
        let mut known = Known::default();
        let told = self.has_events().then(|| self.told());
        known.see(self.containers(ContainerFilter::default()).await?, self.now());
        known.news.clear();
        let may_lose = told.is_some() && may_lose_events(&self.runtime_version().await?);
        let watch = Watch { runtime: self.clone(), known, told, may_lose, list_at: None };
        let events = stream::unfold(Some(watch), |watch| async {
            let mut watch = watch?;
            match watch.next().await {
                Ok(event) => Some((Ok(event), Some(watch))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(events.boxed())
    }

    /// What the runtime tells. The call is under way from the first poll on, and need not be answered before something happens.
    fn told(&self) -> BoxStream<'static, Result<ContainerEventResponse, Status>> {
        let mut client = self.shared.connection.runtime();
        let call =
            async move { client.get_container_events(GetEventsRequest {}).await.map(tonic::Response::into_inner) };
        stream::once(call).try_flatten().boxed()
    }

    fn has_events(&self) -> bool {
        !self.shared.is_without_events.load(Ordering::Relaxed)
    }
}

/// One listener.
struct Watch {
    runtime: CriRuntime,
    known: Known,
    told: Option<BoxStream<'static, Result<ContainerEventResponse, Status>>>,
    /// Whether not all that happens is told.
    may_lose: bool,
    /// When the next list is made, once there is somebody who waits. Only then is the runtime asked to tell, and it does not say from when
    /// on it does: what happened until then is in a list that follows soon.
    list_at: Option<Instant>,
}

impl Watch {
    fn schedule(&mut self) {
        let options = &self.runtime.shared.options;
        let is_told_all = self.told.is_some() && !self.may_lose;
        let period = if is_told_all { options.relist_period_with_events } else { options.relist_period };
        self.list_at = Some(Instant::now() + period);
    }

    async fn next(&mut self) -> Result<ContainerEvent, RuntimeError> {
        let soon = self.runtime.shared.options.relist_period;
        loop {
            let list_at = *self.list_at.get_or_insert_with(|| Instant::now() + soon);
            if let Some(event) = self.known.news.pop_front() {
                return Ok(event);
            }
            let told = async {
                match &mut self.told {
                    Some(told) => told.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                told = told => self.take(told)?,
                () = sleep_until(list_at) => {
                    let listed = self.runtime.containers(ContainerFilter::default()).await?;
                    self.known.see(listed, self.runtime.now());
                    self.schedule();
                }
            }
        }
    }

    fn take(&mut self, told: Option<Result<ContainerEventResponse, Status>>) -> Result<(), RuntimeError> {
        match told {
            Some(Ok(event)) => self.known.hear(event),
            Some(Err(status)) if status.code() == Code::Unimplemented => {
                // From now on, and for all listeners, lists tell. The first one was made before.
                self.runtime.shared.is_without_events.store(true, Ordering::Relaxed);
                self.told = None;
                self.schedule();
            }
            Some(Err(status)) => return Err(Subject::Runtime("telling what happens to containers").error(&status)),
            None => return Err(RuntimeError::Unavailable("the runtime ended its events".to_owned())),
        }
        Ok(())
    }
}
