//! A pod's cgroup at the right time: there before its sandbox is, never less than its containers have, and gone after.

use std::{io, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use orchestra_core::event_recorder::EventType::Warning;
use tracing::warn;

use super::{Unanswered, Work};
use crate::kubelet::{
    cgroup::{Cgroups, Limits, PodCgroup},
    pod::step::Step,
    resize,
};

/// When what failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

impl Work<'_> {
    /// Does what `step` needs of the pod's cgroup, on a node where it has one, and says when to look at that again.
    pub(super) async fn keep_cgroup(
        &mut self,
        pod: &Arc<Pod>,
        step: &Step<'_>,
    ) -> Result<Option<Timestamp>, Unanswered> {
        let Some(cgroups) = &self.context.cgroups else { return Ok(None) };
        let runs = self.known.record.sandbox.as_ref().is_some_and(|sandbox| sandbox.ready);
        match step {
            Step::RunSandbox => self.make_cgroup(cgroups, pod).await.map(|()| None),
            Step::Launch(_) | Step::Resize(_) => Ok(self.grant(cgroups, pod, self.at_any_moment(cgroups, pod)).await),
            Step::Wait(_) if runs => Ok(self.grant(cgroups, pod, self.at_any_moment(cgroups, pod)).await),
            Step::Wait(_) => {
                let removed = Box::pin(self.try_remove_cgroup(cgroups)).await;
                Ok(removed.err().and_then(|error| self.later(&error)))
            }
            _ => Ok(None),
        }
    }

    async fn make_cgroup(&mut self, cgroups: &Cgroups, pod: &Pod) -> Result<(), Unanswered> {
        match Box::pin(cgroups.make_pod(pod, cgroups.limits(pod))).await {
            Ok(made) => {
                self.known.cgroup = Some(Box::new(made));
                Ok(())
            }
            Err(error) => {
                let message = format!("unable to ensure pod container exists: {error}");
                self.events(pod).pod(Warning, "FailedCreatePodContainer", message);
                Err(self.unanswered(&error))
            }
        }
    }

    /// What the pod is to be granted while some of its containers still have what they had before.
    fn at_any_moment(&self, cgroups: &Cgroups, pod: &Arc<Pod>) -> Limits {
        let limits = cgroups.limits(pod);
        let resizing = &self.known.record.resizing;
        if resizing.is_empty() {
            return limits;
        }
        let held = resizing.iter().map(|(name, held)| (name.clone(), held.amounts.clone())).collect();
        limits.or_more(cgroups.limits(&resize::with(pod, &held)))
    }

    /// Grants the pod this, unless it has that. What fails is tried again at the time that is returned.
    async fn grant(&mut self, cgroups: &Cgroups, pod: &Pod, limits: Limits) -> Option<Timestamp> {
        match self.known.cgroup.as_deref() {
            Some(PodCgroup::Granted(granted)) if *granted == limits => return None,
            Some(PodCgroup::None) => return None,
            _ => {}
        }
        match Box::pin(cgroups.grant(pod, limits)).await {
            Ok(granted) => {
                self.known.cgroup = Some(Box::new(granted));
                None
            }
            Err(error) => self.later(&error),
        }
    }

    /// Why the pod cannot be limited to the memory that it is to have, if it cannot.
    pub(super) async fn pod_uses_more(&self, pod: &Pod) -> Option<String> {
        let (cgroups, Some(PodCgroup::Granted(now))) = (self.context.cgroups.as_ref()?, self.known.cgroup.as_deref())
        else {
            return None;
        };
        let limit = cgroups.limits(pod).memory()?;
        if now.memory().is_some_and(|now| now <= limit) {
            return None;
        }
        let used = Box::pin(cgroups.memory_usage(pod)).await.ok()?;
        let why = || format!("attempting to set pod memory limit ({limit}) below current usage ({used})");
        (used > limit).then(why)
    }

    fn later(&self, error: &io::Error) -> Option<Timestamp> {
        warn!(node = %self.context.node, pod = ?self.pod.metadata.name, %error, "cgroup of pod is not as it is to be, trying again");
        self.context.clock.now().checked_add(RETRY).ok()
    }

    /// Takes away the cgroup of a pod of which nothing runs.
    pub(super) async fn remove_cgroup(&mut self) -> Result<(), Unanswered> {
        let Some(cgroups) = &self.context.cgroups else { return Ok(()) };
        Box::pin(self.try_remove_cgroup(cgroups)).await.map_err(|error| self.unanswered(&error))
    }

    async fn try_remove_cgroup(&mut self, cgroups: &Cgroups) -> io::Result<()> {
        if self.known.cgroup.as_deref() != Some(&PodCgroup::None) {
            cgroups.remove_pod(self.pod.metadata.uid.as_deref().unwrap_or_default()).await?;
            self.known.cgroup = Some(Box::new(PodCgroup::None));
        }
        Ok(())
    }
}
