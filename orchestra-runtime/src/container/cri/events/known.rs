//! What a listener knows of the containers that there are, so that it is told what is new, and that once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use k8s_cri::v1::{ContainerEventResponse, ContainerEventType};
use orchestra_core::container_runtime::{
    Container, ContainerEvent, ContainerEventKind, ContainerId, ContainerState, SandboxId,
};

use crate::container::cri::convert;

#[derive(Debug, Default)]
pub(super) struct Known {
    containers: BTreeMap<ContainerId, (SandboxId, ContainerEventKind)>,
    /// What is to be told.
    pub(super) news: VecDeque<ContainerEvent>,
}

impl Known {
    /// Takes a list of all containers, and finds what must have happened since the last one.
    pub(super) fn see(&mut self, listed: Vec<Container>, now: Timestamp) {
        let ids: BTreeSet<&ContainerId> = listed.iter().map(|container| &container.id).collect();
        let gone: Vec<ContainerId> = self.containers.keys().filter(|id| !ids.contains(id)).cloned().collect();
        for id in gone {
            if let Some((sandbox, _)) = self.containers.get(&id).cloned() {
                self.come_to(id, sandbox, ContainerEventKind::Deleted, now);
            }
        }
        for container in listed {
            let kind = match container.state {
                ContainerState::Created => ContainerEventKind::Created,
                ContainerState::Running => ContainerEventKind::Started,
                // One that the runtime lost track of does not run any more, as far as anybody can tell.
                ContainerState::Exited | ContainerState::Unknown => ContainerEventKind::Stopped,
            };
            self.come_to(container.id, container.sandbox, kind, now);
        }
    }

    /// Takes an event of the runtime.
    pub(super) fn hear(&mut self, event: ContainerEventResponse) {
        let kind = match event.container_event_type() {
            ContainerEventType::ContainerCreatedEvent => ContainerEventKind::Created,
            ContainerEventType::ContainerStartedEvent => ContainerEventKind::Started,
            ContainerEventType::ContainerStoppedEvent => ContainerEventKind::Stopped,
            ContainerEventType::ContainerDeletedEvent => ContainerEventKind::Deleted,
        };
        let sandbox = event.pod_sandbox_status.map(|status| status.id).unwrap_or_default();
        // A sandbox has events, too, as if it were a container of its own.
        if event.container_id == sandbox {
            return;
        }
        let id = ContainerId(event.container_id.into());
        let at = convert::time(event.created_at).unwrap_or(Timestamp::UNIX_EPOCH);
        let known = self.containers.get(&id).map(|(sandbox, _)| sandbox.clone());
        self.come_to(id, known.unwrap_or_else(|| SandboxId(sandbox.into())), kind, at);
    }

    /// Tells all that happened to a container until it came as far as that.
    fn come_to(&mut self, id: ContainerId, sandbox: SandboxId, kind: ContainerEventKind, at: Timestamp) {
        use ContainerEventKind::{Created, Deleted, Started, Stopped};
        let before = self.containers.get(&id).map(|(_, kind)| *kind);
        if before.is_none() && kind == Deleted {
            return;
        }
        for step in [Created, Started, Stopped, Deleted] {
            // A container that was removed without having been started has not stopped either.
            let is_skipped = kind == Deleted && before == Some(Created) && step != Deleted;
            if step <= kind && before.is_none_or(|before| step > before) && !is_skipped {
                let (container, sandbox) = (id.clone(), sandbox.clone());
                self.news.push_back(ContainerEvent { container, sandbox, kind: step, at });
            }
        }
        if kind == Deleted {
            self.containers.remove(&id);
        } else if before.is_none_or(|before| kind > before) {
            self.containers.insert(id, (sandbox, kind));
        }
    }
}

#[cfg(test)]
mod tests {
    use ContainerEventKind::{Created, Deleted, Started, Stopped};
    use k8s_cri::v1::PodSandboxStatus;
    use orchestra_core::container_runtime::{ContainerMetadata, ImageSpec};

    use super::*;

    fn listed(id: &str, state: ContainerState) -> Container {
        Container {
            id: ContainerId(id.into()),
            sandbox: SandboxId("s".into()),
            metadata: ContainerMetadata::default(),
            image: ImageSpec::default(),
            image_ref: String::new(),
            state,
            created_at: Timestamp::UNIX_EPOCH,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    fn heard(id: &str, kind: ContainerEventType) -> ContainerEventResponse {
        ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind.into(),
            pod_sandbox_status: Some(PodSandboxStatus { id: "s".to_owned(), ..Default::default() }),
            ..Default::default()
        }
    }

    fn news(known: &mut Known) -> Vec<(String, ContainerEventKind)> {
        known.news.drain(..).map(|event| (event.container.to_string(), event.kind)).collect()
    }

    fn of(id: &str, kinds: &[ContainerEventKind]) -> Vec<(String, ContainerEventKind)> {
        kinds.iter().map(|kind| (id.to_owned(), *kind)).collect()
    }

    #[test]
    fn lists_tell_what_happened_between_them() {
        let mut known = Known::default();
        let now = Timestamp::UNIX_EPOCH;
        known.see(vec![listed("a", ContainerState::Running), listed("b", ContainerState::Created)], now);
        known.news.clear();
        known.see(vec![listed("a", ContainerState::Exited), listed("c", ContainerState::Exited)], now);
        let expected = [of("b", &[Deleted]), of("a", &[Stopped]), of("c", &[Created, Started, Stopped])].concat();
        assert_eq!(news(&mut known), expected);
        known.see(vec![listed("a", ContainerState::Exited)], now);
        assert_eq!(news(&mut known), of("c", &[Deleted]));
    }

    #[test]
    fn what_events_told_lists_do_not_tell_again() {
        let mut known = Known::default();
        known.hear(heard("a", ContainerEventType::ContainerCreatedEvent));
        known.hear(heard("s", ContainerEventType::ContainerStartedEvent));
        known.see(vec![listed("a", ContainerState::Running)], Timestamp::UNIX_EPOCH);
        known.hear(heard("a", ContainerEventType::ContainerStartedEvent));
        known.hear(heard("a", ContainerEventType::ContainerDeletedEvent));
        known.hear(heard("a", ContainerEventType::ContainerDeletedEvent));
        assert_eq!(news(&mut known), of("a", &[Created, Started, Stopped, Deleted]));
    }
}
