//! What the runtime holds, and the rules by which it changes. No time passes in here: the callers say what time it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use orchestra_core::container_runtime::{
    Container, ContainerEvent, ContainerEventKind, ContainerId, ContainerMetadata, ContainerState, ContainerStatus,
    Image, ImageSpec, RuntimeError, Sandbox, SandboxConfig, SandboxId, SandboxMetadata, SandboxState, SandboxStatus,
};
use tokio::{sync::mpsc, time::Instant};

use super::{ImageScript, Readiness, compact::Compact};

/// A container killed by SIGKILL.
pub(super) const KILLED: i32 = 137;

pub(super) struct SandboxRecord {
    name: Box<str>,
    namespace: Box<str>,
    pub(super) uid: Box<str>,
    attempt: u32,
    ready: bool,
    created_at: Timestamp,
    labels: Compact,
    annotations: Compact,
    /// The last number of its address; `None` if it has the node's network or is stopped.
    host: Option<u8>,
    /// In order of creation.
    containers: Vec<u64>,
}

pub(super) struct ContainerRecord {
    pub(super) sandbox: u64,
    pub(super) name: Box<str>,
    pub(super) attempt: u32,
    pub(super) image: Arc<str>,
    pub(super) script: Arc<ImageScript>,
    pub(super) state: ContainerState,
    pub(super) ready: bool,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) exit_code: i32,
    /// Where in `due` its end is.
    exit: Option<(Instant, u64)>,
    pub(super) labels: Compact,
    pub(super) annotations: Compact,
}

/// `delay` after `instant`; delays without end are cut to a hundred years.
pub(super) fn after(instant: Instant, delay: Duration) -> Instant {
    instant + delay.min(Duration::from_secs(100 * 365 * 24 * 3600))
}

/// What is to happen to a container later.
#[derive(Clone, Copy)]
enum Due {
    Ready,
    Exit(i32),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: BTreeMap<u64, SandboxRecord>,
    pub(super) containers: BTreeMap<u64, ContainerRecord>,
    pub(super) images: BTreeMap<Arc<str>, Arc<ImageScript>>,
    /// The sandboxes by a hash of their uids.
    by_uid: BTreeSet<(u64, u64)>,
    hosts: BTreeSet<u8>,
    last_host: u8,
    last_id: u64,
    due: BTreeMap<(Instant, u64), (u64, Due)>,
    sequence: u64,
    listeners: Vec<mpsc::Sender<ContainerEvent>>,
    /// Makes ids and addresses differ from those of other runtimes.
    pub(super) index: u16,
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// An id as long as containerd's; its last part is the number, the rest tells runtimes apart.
    pub(super) fn text(&self, id: u64) -> Arc<str> {
        let word = |salt: u64| mix(id ^ mix(u64::from(self.index) ^ (salt << 32)));
        format!("{:016x}{:016x}{:016x}{id:016x}", word(1), word(2), word(3)).into()
    }

    /// The number in an id that this runtime gave.
    pub(super) fn number(&self, id: &str) -> Option<u64> {
        let number = u64::from_str_radix(id.get(48..)?, 16).ok()?;
        (*self.text(number) == *id).then_some(number)
    }

    pub(super) fn listen(&mut self, capacity: usize) -> mpsc::Receiver<ContainerEvent> {
        let (sender, receiver) = mpsc::channel(capacity);
        self.listeners.push(sender);
        receiver
    }

    fn tell(&mut self, id: u64, sandbox: u64, kind: ContainerEventKind, at: Timestamp) {
        if self.listeners.is_empty() {
            return;
        }
        let event =
            ContainerEvent { container: ContainerId(self.text(id)), sandbox: SandboxId(self.text(sandbox)), kind, at };
        // One that is full lost its place: its stream ends.
        self.listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
    }

    /// The next free address, in turn, so that one that was just given back rests.
    fn take_host(&mut self) -> Result<u8, RuntimeError> {
        for _ in 0..=u8::MAX {
            self.last_host = if self.last_host >= 254 { 2 } else { self.last_host.max(1) + 1 };
            if self.hosts.insert(self.last_host) {
                return Ok(self.last_host);
            }
        }
        Err(RuntimeError::Failed("no IP addresses available in the pod network of the node".to_owned()))
    }

    /// `10.244.0.0/24` for the first runtime, `10.244.1.0/24` for the second, and so on.
    fn address(&self, host: u8) -> IpAddr {
        let [second, third] = (0xf400_u16.wrapping_add(self.index)).to_be_bytes();
        Ipv4Addr::new(10, second, third, host).into()
    }

    pub(super) fn add_container(&mut self, mut record: ContainerRecord, now: Timestamp) -> u64 {
        let id = self.next_id();
        record.created_at = now;
        let sandbox = record.sandbox;
        self.containers.insert(id, record);
        if let Some(sandbox) = self.sandboxes.get_mut(&sandbox) {
            sandbox.containers.push(id);
        }
        self.tell(id, sandbox, ContainerEventKind::Created, now);
        id
    }

    pub(super) fn start(&mut self, id: u64, now: Timestamp, instant: Instant) -> Result<(), RuntimeError> {
        let Some(record) = self.containers.get_mut(&id) else { return Err(RuntimeError::no_container(id.to_string())) };
        if record.state != ContainerState::Created {
            return Err(RuntimeError::FailedPrecondition("container is not in created state".to_owned()));
        }
        record.state = ContainerState::Running;
        record.started_at = Some(now);
        record.ready = record.script.readiness == Readiness::After(Duration::ZERO);
        let (sandbox, script, ready) = (record.sandbox, Arc::clone(&record.script), record.ready);
        if let Readiness::After(delay) = script.readiness
            && !ready
        {
            self.schedule(id, after(instant, delay), Due::Ready);
        }
        if let Some((delay, code)) = script.exit_code_after {
            self.schedule_exit(id, after(instant, delay), code);
        }
        self.tell(id, sandbox, ContainerEventKind::Started, now);
        Ok(())
    }

    fn schedule(&mut self, id: u64, at: Instant, what: Due) -> (Instant, u64) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), (id, what));
        (at, self.sequence)
    }

    /// Has the container end then, unless it ends before.
    pub(super) fn schedule_exit(&mut self, id: u64, at: Instant, code: i32) {
        let Some(record) = self.containers.get(&id) else { return };
        if let Some(exit) = record.exit {
            if exit.0 <= at {
                return;
            }
            self.due.remove(&exit);
        }
        let exit = self.schedule(id, at, Due::Exit(code));
        if let Some(record) = self.containers.get_mut(&id) {
            record.exit = Some(exit);
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Does what is due; returns whether a container ended.
    pub(super) fn run_due(&mut self, now: Timestamp, instant: Instant) -> bool {
        let mut ended = false;
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= instant) {
            let (id, what) = entry.remove();
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

    pub(super) fn exit(&mut self, id: u64, code: i32, now: Timestamp) {
        let Some(record) = self.containers.get_mut(&id) else { return };
        if record.state == ContainerState::Exited {
            return;
        }
        record.state = ContainerState::Exited;
        record.ready = false;
        record.finished_at = Some(now);
        record.exit_code = code;
        let (sandbox, exit) = (record.sandbox, record.exit.take());
        if let Some(exit) = exit {
            self.due.remove(&exit);
        }
        self.tell(id, sandbox, ContainerEventKind::Stopped, now);
    }

    pub(super) fn remove_container(&mut self, id: u64, now: Timestamp) {
        self.exit(id, KILLED, now);
        if let Some(record) = self.containers.remove(&id) {
            if let Some(sandbox) = self.sandboxes.get_mut(&record.sandbox) {
                sandbox.containers.retain(|other| *other != id);
            }
            self.tell(id, record.sandbox, ContainerEventKind::Deleted, now);
        }
    }

    pub(super) fn containers_of(&self, sandbox: u64) -> Vec<u64> {
        self.sandboxes.get(&sandbox).map(|record| record.containers.clone()).unwrap_or_default()
    }

    /// Adds a sandbox, unless there is one of its uid and attempt.
    pub(super) fn add_sandbox(&mut self, config: SandboxConfig, now: Timestamp) -> Result<u64, RuntimeError> {
        let mut record = SandboxRecord::new(&config, now);
        let hash = hash(&record.uid);
        let mut same = self.by_uid.range((hash, 0)..=(hash, u64::MAX)).filter_map(|(_, id)| self.sandboxes.get(id));
        if same.any(|other| other.uid == record.uid && other.attempt == record.attempt) {
            return Err(RuntimeError::AlreadyExists { kind: "sandbox", name: record.uid.into_string() });
        }
        if !config.host_network {
            record.host = Some(self.take_host()?);
        }
        let id = self.next_id();
        self.by_uid.insert((hash, id));
        self.sandboxes.insert(id, record);
        Ok(id)
    }

    pub(super) fn remove_sandbox(&mut self, id: u64, now: Timestamp) {
        self.stop_sandbox(id, now);
        for container in self.containers_of(id) {
            self.remove_container(container, now);
        }
        if let Some(record) = self.sandboxes.remove(&id) {
            self.by_uid.remove(&(hash(&record.uid), id));
        }
    }

    pub(super) fn stop_sandbox(&mut self, id: u64, now: Timestamp) {
        for container in self.containers_of(id) {
            self.exit(container, KILLED, now);
        }
        if let Some(record) = self.sandboxes.get_mut(&id) {
            record.ready = false;
            if let Some(host) = record.host.take() {
                self.hosts.remove(&host);
            }
        }
    }

    pub(super) fn sandbox_status(&self, id: u64) -> Option<SandboxStatus> {
        let record = self.sandboxes.get(&id)?;
        let sandbox = Sandbox {
            id: SandboxId(self.text(id)),
            metadata: SandboxMetadata {
                name: record.name.to_string(),
                namespace: record.namespace.to_string(),
                uid: record.uid.to_string(),
                attempt: record.attempt,
            },
            state: if record.ready { SandboxState::Ready } else { SandboxState::NotReady },
            created_at: record.created_at,
            labels: record.labels.expand(),
            annotations: record.annotations.expand(),
        };
        Some(SandboxStatus { sandbox, ips: record.host.map(|host| self.address(host)).into_iter().collect() })
    }

    pub(super) fn container_status(&self, id: u64) -> Option<ContainerStatus> {
        let record = self.containers.get(&id)?;
        let image_ref = image_ref(&record.image);
        let container = Container {
            id: ContainerId(self.text(id)),
            sandbox: SandboxId(self.text(record.sandbox)),
            metadata: ContainerMetadata { name: record.name.to_string(), attempt: record.attempt },
            image: ImageSpec(record.image.to_string()),
            image_ref: image_ref.clone(),
            state: record.state,
            created_at: record.created_at,
            labels: record.labels.expand(),
            annotations: record.annotations.expand(),
        };
        let reason = match (record.state, record.exit_code) {
            (ContainerState::Exited, 0) => "Completed",
            (ContainerState::Exited, _) => "Error",
            _ => "",
        };
        Some(ContainerStatus {
            container,
            image_ref,
            started_at: record.started_at,
            finished_at: record.finished_at,
            exit_code: record.exit_code,
            reason: reason.to_owned(),
            message: String::new(),
            ready: Some(record.ready),
        })
    }

    pub(super) fn image(&self, name: &str) -> Option<Image> {
        let script = self.images.get(name)?;
        let reference = image_ref(name);
        Some(Image {
            id: reference.rsplit_once('@').map_or_else(String::new, |(_, digest)| digest.to_owned()),
            repo_tags: vec![name.to_owned()],
            repo_digests: vec![reference],
            size: script.size,
            annotations: BTreeMap::new(),
        })
    }
}

impl SandboxRecord {
    fn new(config: &SandboxConfig, created_at: Timestamp) -> Self {
        Self {
            name: config.metadata.name.as_str().into(),
            namespace: config.metadata.namespace.as_str().into(),
            uid: config.metadata.uid.as_str().into(),
            attempt: config.metadata.attempt,
            ready: true,
            created_at,
            labels: Compact::new(&config.labels),
            annotations: Compact::new(&config.annotations),
            host: None,
            containers: Vec::new(),
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }
}

impl ContainerRecord {
    pub(super) fn new(sandbox: u64, metadata: ContainerMetadata, image: Arc<str>, script: Arc<ImageScript>) -> Self {
        Self {
            sandbox,
            name: metadata.name.into_boxed_str(),
            attempt: metadata.attempt,
            image,
            script,
            state: ContainerState::Created,
            ready: false,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            finished_at: None,
            exit_code: 0,
            exit: None,
            labels: Compact::default(),
            annotations: Compact::default(),
        }
    }
}

/// A name with a digest, as registries have them, that depends on the image's name only.
pub(super) fn image_ref(image: &str) -> String {
    let name = match image.split_once('@') {
        Some((name, _)) => name,
        // A colon before a slash is a port's.
        None => image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(image, |(name, _)| name),
    };
    let domain = match name.split_once('/') {
        None => "docker.io/library/",
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => "",
        Some(_) => "docker.io/",
    };
    let seed = image
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let word = |salt: u64| mix(seed ^ salt);
    format!("{domain}{name}@sha256:{:016x}{:016x}{:016x}{:016x}", word(1), word(2), word(3), word(4))
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
