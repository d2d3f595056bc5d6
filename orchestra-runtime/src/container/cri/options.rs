use std::time::Duration;

/// How patient a [`CriRuntime`](super::CriRuntime) is, and how often it looks.
///
/// ```
/// use std::time::Duration;
/// use orchestra_runtime::container::CriOptions;
/// let options = CriOptions { deadline: Duration::from_secs(10), ..CriOptions::default() };
/// assert_eq!(options.relist_period, Duration::from_secs(1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriOptions {
    /// How long a call may take; twice as long where a sandbox is made, as its network takes time, and in addition to the time that the
    /// caller grants a container to stop or a command to run. 2 minutes by default, as Kubernetes' `--runtime-request-timeout`.
    pub deadline: Duration,
    /// How long an image may take to be fetched. An hour by default: the runtime itself gives up when nothing more arrives.
    pub pull_deadline: Duration,
    /// How often containers are listed to see what happened to them, if the runtime has no events, or does not tell all of them to each who
    /// listens (containerd before 2.0). A second by default, as the kubelet's.
    pub relist_period: Duration,
    /// The same if it has events that can be relied on. 5 minutes by default, as the kubelet's.
    pub relist_period_with_events: Duration,
    /// How often a log that is followed is looked at when nothing more is in it.
    pub log_period: Duration,
}

impl Default for CriOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(120),
            pull_deadline: Duration::from_secs(3600),
            relist_period: Duration::from_secs(1),
            relist_period_with_events: Duration::from_secs(300),
            log_period: Duration::from_millis(100),
        }
    }
}
