//! A pod's volumes at the right time: there before its sandbox is, up to date while its containers run, and gone after.

use std::{path::PathBuf, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::event_recorder::EventType::Warning;

use super::{Outcome, Unanswered, Work};
use crate::kubelet::{
    container::log_directory,
    node::EVICTED,
    pod::step::Step,
    volume::{self, is_limited},
};

/// How often it is looked whether a folder has become too large, as Kubernetes does.
const LOOK: Duration = Duration::from_secs(10);

/// What came of it.
pub(super) enum Kept {
    /// All is well; to be looked at again then, if nothing happens before.
    Until(Option<Timestamp>),
    /// The pod is another now.
    Changed,
    /// Nothing can start before this is tried again.
    Stuck(Outcome),
}

impl Work<'_> {
    /// Does what `step` needs of volumes, on a node that has some.
    pub(super) async fn keep_volumes(&mut self, pod: &Pod, step: &Step<'_>) -> Result<Kept, Unanswered> {
        let Some(root) = self.context.config.root.clone() else { return Ok(Kept::Until(None)) };
        let runs = self.known.record.sandbox.as_ref().is_some_and(|sandbox| sandbox.ready);
        match step {
            Step::RunSandbox | Step::Launch(_) => self.set_up_volumes(root, pod, true).await,
            Step::Wait(_) if runs => self.set_up_volumes(root, pod, false).await,
            Step::Wait(_) => {
                self.remove_volumes(root).await?;
                Ok(Kept::Until(None))
            }
            _ => Ok(Kept::Until(None)),
        }
    }

    async fn set_up_volumes(&mut self, root: PathBuf, pod: &Pod, something_starts: bool) -> Result<Kept, Unanswered> {
        let mut volumes = self.known.volumes.take().unwrap_or_default();
        let context = self.context;
        let failures = self.while_reporting(volumes.keep(context, &root, pod)).await;
        let too_large = match something_starts || !is_limited(pod) {
            true => None,
            false => volumes.overfull(pod).await,
        };
        let again_for_size = is_limited(pod).then(|| context.clock.now().checked_add(LOOK).ok()).flatten();
        let again = [volumes.renew_at(), again_for_size].into_iter().flatten().min();
        let (delay, tell) = match &failures {
            Ok(failures) => volumes.count(failures, something_starts),
            Err(_) => Default::default(),
        };
        self.known.volumes = Some(volumes);
        let failures = failures?;
        if let Some(message) = too_large {
            self.events(pod).pod(Warning, EVICTED, message.clone());
            self.known.record.failed = Some((EVICTED.to_owned(), message));
            return Ok(Kept::Changed);
        }
        if failures.is_empty() {
            return Ok(Kept::Until(again));
        }
        for message in failures.into_iter().filter(|_| tell) {
            self.events(pod).pod(Warning, "FailedMount", message);
        }
        let retry = context.clock.now().checked_add(delay).ok();
        if !something_starts {
            return Ok(Kept::Until([again, retry].into_iter().flatten().min()));
        }
        self.report().await?;
        Ok(Kept::Stuck(retry.map_or(Outcome::Retry, Outcome::At)))
    }

    async fn remove_volumes(&mut self, root: PathBuf) -> Result<(), Unanswered> {
        self.known.volumes = None;
        let uid = self.uid();
        self.context.config_maps.release(&uid);
        self.context.secrets.release(&uid);
        volume::remove_volumes(root, uid).await.map_err(|error| self.unanswered(&error))
    }

    /// Takes away the files of a pod whose sandbox is removed.
    pub(super) async fn remove_files(&mut self, pod: &Pod) -> Result<(), Unanswered> {
        let config = &self.context.config;
        let Some(root) = config.root.clone() else { return Ok(()) };
        let logs = config.pod_logs.as_ref().map(|logs| log_directory(logs, pod).into());
        self.remove_volumes(root.clone()).await?;
        volume::remove_pod(root, self.uid(), logs).await.map_err(|error| self.unanswered(&error))
    }

    fn uid(&self) -> String {
        self.pod.metadata.uid.clone().unwrap_or_default()
    }
}
