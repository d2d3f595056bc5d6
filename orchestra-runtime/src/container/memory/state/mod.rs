//! What the runtime holds, and the rules by which it changes. No time passes in here: the callers say what time it is.

mod address;
mod containers;
mod id;
mod image;
mod record;
mod sandboxes;
mod schedule;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use orchestra_core::container_runtime::{Cidr, ContainerEvent, ContainerEventKind, Image};
use tokio::{sync::mpsc, time::Instant};

use self::{
    address::Addresses,
    record::{ContainerRecord, SandboxRecord},
    schedule::Schedule,
};
pub(super) use self::{image::image_ref, schedule::after};
use super::ImageScript;

/// A container killed by SIGKILL.
pub(super) const KILLED: i32 = 137;
/// A container that could not be started.
const CANNOT_START: i32 = 128;

/// Sandboxes and containers go by numbers in here; others know them by their ids.
#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: BTreeMap<u64, SandboxRecord>,
    pub(super) containers: BTreeMap<u64, ContainerRecord>,
    pub(super) images: BTreeMap<Arc<str>, Arc<ImageScript>>,
    /// The sandboxes by a hash of their uids.
    by_uid: BTreeSet<(u64, u64)>,
    addresses: Addresses,
    last_number: u64,
    schedule: Schedule,
    listeners: Vec<mpsc::Sender<ContainerEvent>>,
}

impl State {
    /// Takes the addresses of pods from there.
    pub(super) fn use_pod_cidr(&mut self, cidr: Cidr) {
        self.addresses.prefer(cidr);
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn listen(&mut self, capacity: usize) -> mpsc::Receiver<ContainerEvent> {
        let (sender, receiver) = mpsc::channel(capacity);
        self.listeners.push(sender);
        receiver
    }

    fn tell(&mut self, container: u64, sandbox: u64, kind: ContainerEventKind, at: Timestamp) {
        if self.listeners.is_empty() {
            return;
        }
        let (container, sandbox) = (self.container_id(container, sandbox), self.sandbox_id(sandbox));
        let event = ContainerEvent { container, sandbox, kind, at };
        // One that is full lost its place: its stream ends.
        self.listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
    }

    /// When something is to happen next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.schedule.next()
    }

    fn containers_of(&self, sandbox: u64) -> Vec<u64> {
        self.sandboxes.get(&sandbox).map(|record| record.containers.clone()).unwrap_or_default()
    }

    pub(super) fn image(&self, name: &str) -> Option<Image> {
        Some(image::image(name, self.images.get(name)?))
    }
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Scatters a number (the finalizer of splitmix64).
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
