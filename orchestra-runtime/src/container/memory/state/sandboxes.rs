use std::net::IpAddr;

use jiff::Timestamp;
use orchestra_core::container_runtime::{RuntimeError, SandboxConfig, SandboxStatus};

use super::{KILLED, State, hash, record::SandboxRecord};

impl State {
    /// Adds a sandbox, unless there is one of its uid and attempt.
    pub(in crate::container::memory) fn add_sandbox(
        &mut self,
        config: &SandboxConfig,
        now: Timestamp,
    ) -> Result<u64, RuntimeError> {
        let mut record = SandboxRecord::new(config, now);
        let hash = hash(&record.uid);
        let mut same = self.by_uid.range((hash, 0)..=(hash, u64::MAX)).filter_map(|(_, id)| self.sandboxes.get(id));
        if same.any(|other| other.uid == record.uid && other.attempt == record.attempt) {
            return Err(RuntimeError::AlreadyExists { kind: "sandbox", name: record.uid.into_string() });
        }
        if !config.host_network {
            record.address = Some(self.addresses.take()?);
        }
        let id = self.next_number();
        self.by_uid.insert((hash, id));
        self.sandboxes.insert(id, record);
        Ok(id)
    }

    pub(in crate::container::memory) fn stop_sandbox(&mut self, id: u64, now: Timestamp) {
        for container in self.containers_of(id) {
            self.exit(container, KILLED, now);
        }
        if let Some(record) = self.sandboxes.get_mut(&id) {
            record.ready = false;
            if let Some(address) = record.address.take() {
                self.addresses.release(address);
            }
        }
    }

    pub(in crate::container::memory) fn remove_sandbox(&mut self, id: u64, now: Timestamp) {
        self.stop_sandbox(id, now);
        for container in self.containers_of(id) {
            self.remove_container(container, now);
        }
        if let Some(record) = self.sandboxes.remove(&id) {
            self.by_uid.remove(&(hash(&record.uid), id));
        }
    }

    /// The sandbox that has the address, if one has; `None` if it is none of a pod's here.
    pub(in crate::container::memory) fn sandbox_at(&self, address: IpAddr) -> Option<Option<u64>> {
        self.addresses
            .has(address)
            .then(|| self.sandboxes.iter().find(|(_, record)| record.address == Some(address)).map(|(id, _)| *id))
    }

    pub(in crate::container::memory) fn sandbox_status(&self, id: u64) -> Option<SandboxStatus> {
        Some(self.sandboxes.get(&id)?.status(self.sandbox_id(id)))
    }
}
