//! Whether the node lacks something, as its conditions tell.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::threshold::Signal;

/// What a node lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::kubelet) enum Lack {
    Memory,
    Disk,
    Pid,
}

impl Lack {
    /// The type of the condition that tells of it.
    pub(in crate::kubelet) fn condition(self) -> &'static str {
        match self {
            Self::Memory => "MemoryPressure",
            Self::Disk => "DiskPressure",
            Self::Pid => "PIDPressure",
        }
    }

    pub(super) fn of(signal: Signal) -> Self {
        match signal {
            Signal::MemoryAvailable => Self::Memory,
            Signal::PidAvailable => Self::Pid,
            Signal::NodefsAvailable
            | Signal::NodefsInodesFree
            | Signal::ImagefsAvailable
            | Signal::ImagefsInodesFree => Self::Disk,
        }
    }
}

/// What the node lacks, and did lately.
#[derive(Debug)]
pub(in crate::kubelet) struct Pressure {
    /// How long a condition stays after the last time that too little was left (`evictionPressureTransitionPeriod`), so that it does not
    /// come and go with each pod that is evicted and replaced.
    transition: Duration,
    last: Mutex<BTreeMap<Lack, Instant>>,
}

impl Pressure {
    pub(in crate::kubelet) fn new(transition: Duration) -> Self {
        Self { transition, last: Mutex::default() }
    }

    /// Notes what the node lacks now.
    pub(super) fn note(&self, lacks: impl IntoIterator<Item = Lack>) {
        let now = Instant::now();
        self.last.lock().extend(lacks.into_iter().map(|lack| (lack, now)));
    }

    /// What the node lacks, in the order of its conditions.
    pub(in crate::kubelet) fn lacks(&self) -> Vec<Lack> {
        let mut last = self.last.lock();
        last.retain(|_, last| last.elapsed() < self.transition);
        last.keys().copied().collect()
    }
}
