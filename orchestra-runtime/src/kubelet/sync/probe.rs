//! Which of a pod's probes run now.

use std::time::Duration;

use super::Work;
use crate::kubelet::{
    pod::{
        all_containers,
        health::{ProbeKind, has_probes},
    },
    probe::Wanted,
    source::uid_of,
};

impl Work<'_> {
    /// Has those probes run that are to run now.
    pub(super) fn probe(&self) {
        let record = &self.known.record;
        let is_over = record.gone || record.failed.is_some();
        if !has_probes(&self.pod) {
            return;
        }
        let (now, mut wanted) = (self.context.clock.now(), Vec::new());
        for container in all_containers(&self.pod).filter(|_| !is_over) {
            let Some(known) = record.container(&container.name) else { continue };
            for kind in ProbeKind::ALL {
                // A pod that goes is still asked whether it serves.
                if kind != ProbeKind::Readiness && self.pod.metadata.deletion_timestamp.is_some() {
                    continue;
                }
                let (Some(at), Some(instance)) = (known.probe_from(kind, container), known.running()) else { continue };
                let after = Duration::try_from(at.duration_since(now)).unwrap_or_default();
                let (name, container) = (container.name.clone(), instance.id.clone());
                let is_adopted = instance.started_at.is_some_and(|at| at < self.context.began);
                let after = Some(after).filter(|_| !is_adopted);
                wanted.push(Wanted { name, container, kind, after });
            }
        }
        self.context.prober.follow(&uid_of(&self.pod), &self.pod, &self.address(), wanted);
    }
}
