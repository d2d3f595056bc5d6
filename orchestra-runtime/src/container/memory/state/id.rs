//! Ids as long as containerd's. The last part is the number of what is meant; the rest follows from the pod's uid, so that no two runtimes
//! give the same.

use std::sync::Arc;

use orchestra_core::container_runtime::{ContainerId, SandboxId};

use super::{State, hash, mix};

impl State {
    /// The id of a sandbox.
    pub(in crate::container::memory) fn sandbox_id(&self, sandbox: u64) -> SandboxId {
        SandboxId(text(self.uid(sandbox), sandbox))
    }

    /// The id of a container in a sandbox.
    pub(in crate::container::memory) fn container_id(&self, container: u64, sandbox: u64) -> ContainerId {
        ContainerId(text(self.uid(sandbox), container))
    }

    /// The number of a sandbox that there is.
    pub(in crate::container::memory) fn sandbox(&self, id: &SandboxId) -> Option<u64> {
        number(&id.0).filter(|number| self.sandboxes.contains_key(number) && self.sandbox_id(*number) == *id)
    }

    /// The number of a container that there is.
    pub(in crate::container::memory) fn container(&self, id: &ContainerId) -> Option<u64> {
        let number = number(&id.0)?;
        (self.container_id(number, self.containers.get(&number)?.sandbox) == *id).then_some(number)
    }

    fn uid(&self, sandbox: u64) -> &str {
        self.sandboxes.get(&sandbox).map_or("", |sandbox| &sandbox.uid)
    }
}

fn text(uid: &str, number: u64) -> Arc<str> {
    let uid = hash(uid);
    let word = |salt: u64| mix(number ^ mix(uid ^ (salt << 32)));
    format!("{:016x}{:016x}{:016x}{number:016x}", word(1), word(2), word(3)).into()
}

fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.get(48..)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_that_of_one_pod() {
        let id = text("u", 7);
        assert_eq!((id.len(), number(&id)), (64, Some(7)));
        assert_ne!(id, text("v", 7));
        for text in ["", "7", "ä".repeat(32).as_str()] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
