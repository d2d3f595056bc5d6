//! A runtime whose containers run nowhere: they only have states, which follow a script for each image.

mod compact;
mod exec;
mod logs;
mod made;
mod runtime;
mod script;
mod state;
mod streams;
mod timer;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};

use orchestra_core::{
    clock::{Clock, SystemClock},
    container_runtime::{ContainerConfig, labels},
};
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::state::State;
pub use self::{
    exec::{ExecScript, Program, Scripted},
    script::{ImageScript, Readiness},
    streams::PortScript,
};

/// A [`ContainerRuntime`](orchestra_core::container_runtime::ContainerRuntime) in memory, scripted per image. An image without a
/// script is fetched at once, and its containers run for ever or, if they are init containers, end at once.
///
/// Times are tokio's, so that tests pause them. A pod costs about a kibibyte, and the runtime has at most one task,
/// whatever it runs. One runtime is one node's: clones share it. Pods get addresses of the node's pod CIDR if the
/// kubelet tells of one, else of `10.244.0.0/24`.
///
/// ```
/// use std::time::Duration;
/// use orchestra_runtime::container::{ImageScript, MemoryRuntime};
/// let runtime = MemoryRuntime::new()
///     .image("nginx", ImageScript { pull_time: Duration::from_secs(2), ..ImageScript::default() })
///     .image("broken", ImageScript { failing_pull: Some("manifest unknown".into()), ..ImageScript::default() });
/// ```
#[derive(Clone)]
pub struct MemoryRuntime {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    scripts: Mutex<BTreeMap<Arc<str>, Arc<ImageScript>>>,
    /// What images without a script share.
    default: Arc<ImageScript>,
    /// The same for init containers.
    init: Arc<ImageScript>,
    sandbox_time: Mutex<Duration>,
    clock: Mutex<Arc<dyn Clock>>,
    /// Told when a container ended.
    ended: Notify,
    timer: timer::Timer,
    made: made::Made,
}

impl MemoryRuntime {
    /// A runtime without images.
    pub fn new() -> Self {
        let shared = Shared {
            state: Mutex::new(State::default()),
            scripts: Mutex::new(BTreeMap::new()),
            default: Arc::new(ImageScript::default()),
            init: Arc::new(ImageScript { exit_code_after: Some((Duration::ZERO, 0)), ..ImageScript::default() }),
            sandbox_time: Mutex::default(),
            clock: Mutex::new(Arc::new(SystemClock)),
            ended: Notify::new(),
            timer: timer::Timer::default(),
            made: made::Made::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Scripts an image, for containers that are created from now on. The name is matched as pods write it; `nginx` and
    /// `nginx:latest` are the same.
    #[must_use]
    pub fn image(self, name: &str, script: ImageScript) -> Self {
        self.set_image(name, script);
        self
    }

    /// As [`image`](Self::image), of a runtime that runs already.
    pub fn set_image(&self, name: &str, script: ImageScript) {
        self.shared.scripts.lock().insert(untagged(name).into(), Arc::new(script));
    }

    /// How long making a pod's sandbox takes; no time by default. On a machine it is most of what comes before the first image is pulled.
    #[must_use]
    pub fn sandbox_time(self, time: Duration) -> Self {
        *self.shared.sandbox_time.lock() = time;
        self
    }

    /// Takes wall time from `clock`, for use without a kubelet; one that runs its pods here brings its own clock.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        *self.shared.clock.lock() = clock;
        self
    }

    /// How many containers there are, and of how many pods.
    pub fn counts(&self) -> (usize, usize) {
        let state = self.shared.state.lock();
        let pods: BTreeSet<&str> = state.sandboxes.values().map(|sandbox| &*sandbox.uid).collect();
        (state.containers.len(), pods.len())
    }

    fn script(&self, image: &str) -> Arc<ImageScript> {
        self.script_or(image, &self.shared.default)
    }

    fn script_of_container(&self, config: &ContainerConfig) -> Arc<ImageScript> {
        let is_init = config.labels.get(labels::CONTAINER_TYPE).is_some_and(|kind| kind == "init");
        self.script_or(&config.image.0, if is_init { &self.shared.init } else { &self.shared.default })
    }

    fn script_or(&self, image: &str, otherwise: &Arc<ImageScript>) -> Arc<ImageScript> {
        Arc::clone(self.shared.scripts.lock().get(untagged(image)).unwrap_or(otherwise))
    }
}

fn untagged(image: &str) -> &str {
    image.strip_suffix(":latest").unwrap_or(image)
}

impl Default for MemoryRuntime {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (containers, pods) = self.counts();
        f.debug_struct("MemoryRuntime").field("pods", &pods).field("containers", &containers).finish()
    }
}
