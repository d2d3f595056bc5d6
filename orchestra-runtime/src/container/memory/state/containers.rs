use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use orchestra_core::container_runtime::{
    ContainerConfig, ContainerEventKind, ContainerState, ContainerStats, ContainerStatus, RuntimeError,
};
use tokio::time::Instant;

use super::{
    CANNOT_START, KILLED, State,
    record::ContainerRecord,
    schedule::{Due, after},
};
use crate::container::{ImageScript, Readiness};

impl State {
    /// Adds a container to a sandbox that is ready, unless it has one of that name and attempt.
    pub(in crate::container::memory) fn add_container(
        &mut self,
        sandbox: u64,
        config: ContainerConfig,
        script: Arc<ImageScript>,
        now: Timestamp,
    ) -> Result<u64, RuntimeError> {
        if !self.sandboxes.get(&sandbox).is_some_and(|record| record.ready) {
            return Err(RuntimeError::FailedPrecondition(format!(
                "sandbox {:?} is not ready",
                self.sandbox_id(sandbox).0
            )));
        }
        let Some(image) = self.images.get_key_value(&*config.image.0).map(|(name, _)| Arc::clone(name)) else {
            return Err(RuntimeError::NotFound { kind: "image", id: config.image.0 });
        };
        let (name, attempt) = (&config.metadata.name, config.metadata.attempt);
        let mut siblings = self.containers_of(sandbox).into_iter().filter_map(|id| self.containers.get(&id));
        if siblings.any(|other| *other.name == **name && other.attempt == attempt) {
            return Err(RuntimeError::AlreadyExists { kind: "container", name: config.metadata.name });
        }
        let id = self.next_number();
        self.containers.insert(id, ContainerRecord::new(sandbox, config, image, script, now));
        if let Some(sandbox) = self.sandboxes.get_mut(&sandbox) {
            sandbox.containers.push(id);
        }
        self.tell(id, sandbox, ContainerEventKind::Created, now);
        Ok(id)
    }

    pub(in crate::container::memory) fn start(
        &mut self,
        id: u64,
        now: Timestamp,
        instant: Instant,
    ) -> Result<(), RuntimeError> {
        let Some(record) = self.containers.get_mut(&id) else { return Err(RuntimeError::no_container(id.to_string())) };
        if record.state != ContainerState::Created {
            return Err(RuntimeError::FailedPrecondition("container is not in created state".to_owned()));
        }
        if let Some(reason) = record.script.failing_start.clone() {
            self.exit(id, CANNOT_START, now);
            return Err(RuntimeError::Failed(reason));
        }
        record.state = ContainerState::Running;
        record.started_at = Some(now);
        record.ready = record.script.readiness == Readiness::After(Duration::ZERO);
        let (sandbox, script, ready) = (record.sandbox, Arc::clone(&record.script), record.ready);
        if let Readiness::After(delay) = script.readiness
            && !ready
        {
            self.schedule.add(id, after(instant, delay), Due::Ready);
        }
        if let Some((delay, code)) = script.exit_code_after {
            self.schedule_exit(id, after(instant, delay), code);
        }
        self.tell(id, sandbox, ContainerEventKind::Started, now);
        Ok(())
    }

    /// Has the container end then, unless it ends before.
    pub(in crate::container::memory) fn schedule_exit(&mut self, id: u64, at: Instant, code: i32) {
        let Some(record) = self.containers.get_mut(&id) else { return };
        if let Some(exit) = record.exit {
            if exit.0 <= at {
                return;
            }
            self.schedule.remove(&exit);
        }
        record.exit = Some(self.schedule.add(id, at, Due::Exit(code)));
    }

    /// Does what is due; returns whether a container ended.
    pub(in crate::container::memory) fn run_due(&mut self, now: Timestamp, instant: Instant) -> bool {
        let mut ended = false;
        while let Some((id, what)) = self.schedule.take_due(instant) {
            match what {
                Due::Ready => self.become_ready(id, now),
                Due::Exit(code) => {
                    self.exit(id, code, now);
                    ended = true;
                }
            }
        }
        ended
    }

    fn become_ready(&mut self, id: u64, now: Timestamp) {
        let Some(record) = self.containers.get_mut(&id) else { return };
        if record.state == ContainerState::Running {
            record.ready = true;
            let sandbox = record.sandbox;
            self.tell(id, sandbox, ContainerEventKind::ReadinessChanged, now);
        }
    }

    pub(in crate::container::memory) fn exit(&mut self, id: u64, code: i32, now: Timestamp) {
        let Some(record) = self.containers.get_mut(&id) else { return };
        if record.state == ContainerState::Exited {
            return;
        }
        record.state = ContainerState::Exited;
        record.ready = false;
        record.finished_at = Some(now);
        record.exit_code = code;
        if let Some(exit) = record.exit.take() {
            self.schedule.remove(&exit);
        }
        let sandbox = record.sandbox;
        self.tell(id, sandbox, ContainerEventKind::Stopped, now);
    }

    pub(in crate::container::memory) fn remove_container(&mut self, id: u64, now: Timestamp) {
        self.exit(id, KILLED, now);
        if let Some(record) = self.containers.remove(&id) {
            if let Some(sandbox) = self.sandboxes.get_mut(&record.sandbox) {
                sandbox.containers.retain(|other| *other != id);
            }
            self.tell(id, record.sandbox, ContainerEventKind::Deleted, now);
        }
    }

    pub(in crate::container::memory) fn stats(&self, id: u64, now: Timestamp) -> Option<ContainerStats> {
        let record = self.containers.get(&id)?;
        record.stats(self.container_id(id, record.sandbox), now)
    }

    pub(in crate::container::memory) fn container_status(&self, id: u64) -> Option<ContainerStatus> {
        let record = self.containers.get(&id)?;
        Some(record.status(self.container_id(id, record.sandbox), self.sandbox_id(record.sandbox)))
    }
}
