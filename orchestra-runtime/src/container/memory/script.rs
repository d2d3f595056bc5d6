use std::{collections::BTreeMap, time::Duration};

use super::{ExecScript, PortScript};

/// When a container can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// This long after its start.
    After(Duration),
    /// Not at all.
    Never,
}

/// The user of images that say no other: not root, so that pods that refuse to run as root do run.
const NOBODY: i64 = 65_532;

/// How an image, and containers made of it, behave in a [`MemoryRuntime`](super::MemoryRuntime).
///
/// ```
/// use std::time::Duration;
/// use orchestra_runtime::container::ImageScript;
/// let crashing = ImageScript { exit_code_after: Some((Duration::from_secs(1), 1)), ..ImageScript::default() };
/// assert!(crashing.failing_pull.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageScript {
    /// How long fetching it takes.
    pub pull_time: Duration,
    /// Why fetching it fails, if it does; that takes `pull_time` too.
    pub failing_pull: Option<String>,
    /// Bytes of the image.
    pub size: u64,
    /// The number of the user that its containers run as; 0 is root.
    pub user: i64,
    /// How long starting a container takes.
    pub start_time: Duration,
    /// Why starting a container fails, if it does, in the runtime's words.
    pub failing_start: Option<String>,
    /// When after its start a container ends by itself, and with which code; `None` for one that runs for ever.
    pub exit_code_after: Option<(Duration, i32)>,
    /// When a container can serve.
    pub readiness: Readiness,
    /// How long a container takes to end after SIGTERM, with code 0. If that is more than its grace period, it is killed
    /// (code 137).
    pub stop_time: Duration,
    /// What a container writes to standard output when it starts.
    pub log_lines: Vec<String>,
    /// What commands do that are run in a container; none can be run by default, so that exec probes are left to [`readiness`](Self::readiness).
    pub exec: Option<ExecScript>,
    /// What it writes to standard error then.
    pub error_lines: Vec<String>,
    /// What it writes to standard output so long after its start, if it still runs.
    pub later_log_lines: Vec<(Duration, String)>,
    /// What answers at its ports; other ports refuse connections.
    pub ports: BTreeMap<u16, PortScript>,
    /// Thousandths of a CPU that a container uses while it runs.
    pub cpu_millis: u64,
    /// Bytes of memory that it uses.
    pub memory: u64,
}

impl Default for ImageScript {
    /// An image that is fetched at once and whose containers serve at once, run for ever, and obey SIGTERM.
    fn default() -> Self {
        Self {
            pull_time: Duration::ZERO,
            failing_pull: None,
            size: 50_000_000,
            user: NOBODY,
            start_time: Duration::ZERO,
            failing_start: None,
            exit_code_after: None,
            readiness: Readiness::After(Duration::ZERO),
            stop_time: Duration::ZERO,
            log_lines: Vec::new(),
            exec: None,
            error_lines: Vec::new(),
            later_log_lines: Vec::new(),
            ports: BTreeMap::new(),
            cpu_millis: 0,
            memory: 0,
        }
    }
}
