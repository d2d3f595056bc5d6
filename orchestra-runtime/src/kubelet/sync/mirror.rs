//! What shows a static pod in the API.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tracing::warn;

use super::{Outcome, Unanswered, Work};
use crate::kubelet::static_pods::{self, Mirror};

impl Work<'_> {
    /// The uid in the API of what is written about.
    pub(super) fn shown_uid(&self) -> Option<&str> {
        match &self.mirror {
            Mirror::Is(uid) | Mirror::Wrong(uid) => Some(uid),
            Mirror::Itself | Mirror::Missing | Mirror::Orphan => self.pod.metadata.uid.as_deref(),
        }
    }

    /// Believes what a kubelet before this one wrote of a static pod, so that a restart changes no status: the mirror comes later than the
    /// pod itself.
    pub(super) fn believe_mirror(&mut self) {
        match self.mirror {
            Mirror::Is(_) if !self.known.mirror_seen => {
                self.known.mirror_seen = true;
                let now = self.context.clock.now();
                self.known.record.adopt(&self.pod, &self.context.runtime_name, now);
            }
            // What was written is not there any more.
            Mirror::Missing | Mirror::Wrong(_) => self.known.written = None,
            _ => {}
        }
    }

    /// Sees to it that a static pod has a mirror. Whether there is something to report to: what is created now is told of by the API
    /// server.
    pub(super) async fn keep_mirror(&mut self) -> Result<bool, Unanswered> {
        match &self.mirror {
            Mirror::Itself | Mirror::Is(_) => return Ok(true),
            Mirror::Orphan => return Ok(false),
            // Nobody needs to see any more how it ends.
            Mirror::Missing | Mirror::Wrong(_) if self.pod.metadata.deletion_timestamp.is_some() => return Ok(false),
            Mirror::Wrong(uid) => {
                let deleted = static_pods::delete(&self.context.client, &self.pod, uid).await;
                deleted.map_err(|error| self.unanswered(&error))?;
            }
            Mirror::Missing => {}
        }
        let created = static_pods::create(&self.context.client, &self.context.node, &self.pod).await;
        created.map_err(|error| self.unanswered(&error))?;
        Ok(false)
    }

    /// Removes what is left of a static pod, and its mirror, if the API server answers: another pod of its name need not wait for that.
    pub(super) async fn finish_static(&mut self, pod: &Pod) -> Result<Outcome, Unanswered> {
        // Then nobody is told of its end.
        let _ = self.report().await;
        self.remove_all().await?;
        self.remove_cgroup().await?;
        self.remove_files(pod).await?;
        if let (Mirror::Is(_) | Mirror::Wrong(_), Some(uid)) = (&self.mirror, self.shown_uid())
            && let Err(error) = static_pods::delete(&self.context.client, pod, uid).await
        {
            warn!(node = %self.context.node, pod = %pod.name_any(), %error, "mirror of a static pod stays for now");
        }
        Ok(Outcome::Over)
    }
}
