//! What the API server is told of a pod.

use std::{borrow::Cow, future::poll_fn, pin::pin, task::Poll, time::Duration};

use futures::future::maybe_done;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::{
    Resource, ResourceExt,
    api::{Patch, PatchParams, Request},
    core::{ObjectMeta, Status},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;
use tracing::debug;

use super::{Unanswered, Work};
use crate::kubelet::{
    pod::{has_ended, status::Reporter},
    static_pods::Mirror,
    status_patch::status_patch,
};

/// How long after a failure the status is written again while something else goes on.
const RETRY: Duration = Duration::from_secs(1);

impl Work<'_> {
    /// The status to write, if it differs from what the API server has.
    fn pending_status(&self) -> Option<(Value, PodStatus)> {
        let empty = PodStatus::default();
        let of_pod = self.pod.status.as_ref().unwrap_or(&empty);
        let old = self.known.written.as_ref().map_or(of_pod, |(_, status)| status);
        let record = &self.known.record;
        // Nothing is known any more of what ended before this kubelet started.
        if record.gone || (has_ended(old) && record.containers.is_empty()) {
            return None;
        }
        let reporter = Reporter {
            runtime: &self.context.runtime_name,
            host_ip: self.context.config.address,
            now: self.context.clock.now(),
        };
        // What was not copied did not change.
        let Cow::Owned(new) = reporter.report(&self.pod, record, old) else { return None };
        Some((status_patch(self.shown_uid(), old, &new)?, new))
    }

    /// Writes the status if it is another than the API server has.
    pub(super) async fn report(&mut self) -> Result<(), Unanswered> {
        self.probe();
        // Boxed, as few pods are static, and each that is synced has room for what may be waited for.
        if !matches!(self.mirror, Mirror::Itself) && !Box::pin(self.keep_mirror()).await? {
            return Ok(());
        }
        if let Some((patch, status)) = self.pending_status() {
            self.write(patch, status).await?;
        }
        Ok(())
    }

    async fn write(&mut self, patch: Value, status: PodStatus) -> Result<(), Unanswered> {
        let path = Pod::url_path(&(), self.pod.metadata.namespace.as_deref());
        let (name, params) = (self.pod.name_any(), PatchParams::default());
        let request = Request::new(path).patch_subresource("status", &name, &params, &Patch::Strategic(patch));
        let request = request.map_err(|error| self.unanswered(&error))?;
        match self.context.client.request::<Written>(request).await {
            Ok(pod) => {
                self.known.written = Some((version(&pod.metadata), status));
                Ok(())
            }
            // It is gone, or another pod has its name: the source will tell.
            Err(kube::Error::Api(error)) if matches!(error.code, 404 | 409) || is_of_another(&error) => {
                debug!(pod = %self.pod.name_any(), message = %error.message, "status not written");
                Ok(())
            }
            Err(error) => Err(self.unanswered(&error)),
        }
    }

    /// Does `action`; if it takes time, what is known meanwhile is reported. What is done at once is reported with what follows, in
    /// one write.
    pub(super) async fn while_reporting<T>(&mut self, action: impl Future<Output = T>) -> Result<T, Unanswered> {
        let mut action = pin!(action);
        if let Poll::Ready(done) = futures::poll!(&mut action) {
            return Ok(done);
        }
        let mut action = pin!(maybe_done(action));
        loop {
            let reported = {
                // A write that has begun is waited for, lest nobody knows whether it was made.
                let mut reporting = pin!(self.report());
                poll_fn(|task| {
                    let _ = action.as_mut().poll(task);
                    reporting.as_mut().poll(task)
                })
                .await
            };
            let slot = self.slot;
            tokio::select! {
                biased;
                () = &mut action => break,
                () = slot.changed.notified() => self.listen(),
                () = sleep(RETRY), if reported.is_err() => {}
            }
        }
        action.take_output().ok_or(Unanswered)
    }
}

/// Whether a patch was refused because the object has another uid than it says.
fn is_of_another(error: &Status) -> bool {
    let causes = error.details.iter().flat_map(|details| &details.causes);
    error.code == 422 && causes.into_iter().any(|cause| cause.field == "metadata.uid")
}

/// What the kubelet wants to know of a pod whose status it wrote: its version.
#[derive(Deserialize)]
struct Written {
    metadata: ObjectMeta,
}

/// The version of an object; versions of one object are ordered.
pub(super) fn version(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}
