//! What is needed of a kubelet's `/stats/summary`.

use jiff::Timestamp;
use serde::Deserialize;

/// What a node and its pods use.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    pub(super) node: Usage,
    #[serde(default)]
    pub(super) pods: Vec<PodSummary>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSummary {
    pub(super) pod_ref: PodRef,
    #[serde(default)]
    pub(super) containers: Vec<Usage>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct PodRef {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What a node or a container uses.
#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    /// The container's name.
    #[serde(default)]
    pub(super) name: String,
    pub(super) cpu: Option<Cpu>,
    pub(super) memory: Option<Memory>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cpu {
    pub(super) time: Timestamp,
    #[serde(rename = "usageCoreNanoSeconds")]
    pub(super) nanos: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    #[serde(rename = "workingSetBytes")]
    pub(super) bytes: Option<u64>,
}

impl Usage {
    /// When it was measured, nanoseconds of CPU time until then, and bytes of memory; if all is known.
    pub(super) fn sample(&self) -> Option<Sample> {
        let cpu = self.cpu.as_ref()?;
        Some(Sample { at: cpu.time, cpu_nanos: cpu.nanos?, memory: self.memory.as_ref()?.bytes? })
    }
}

/// What something had used at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: Timestamp,
    pub(super) cpu_nanos: u64,
    pub(super) memory: u64,
}
