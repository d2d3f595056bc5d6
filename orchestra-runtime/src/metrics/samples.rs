//! The last two samples of everything, and what lies between them.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::summary::{PodRef, PodSummary, Sample, Summary};

/// What something used between two samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    /// When the second was taken.
    pub(super) at: Timestamp,
    pub(super) window: Duration,
    /// Billionths of a CPU.
    pub(super) cpu: u64,
    /// Bytes.
    pub(super) memory: u64,
}

/// The newest sample, and the one before.
#[derive(Clone, Copy, Debug)]
struct Pair {
    last: Sample,
    before: Option<Sample>,
}

impl Pair {
    fn next(known: Option<&Self>, sample: Sample) -> Self {
        match known {
            // The same sample again, or one of another container of the name, whose counter began anew.
            Some(known) if sample.at <= known.last.at => *known,
            Some(known) if sample.cpu_nanos < known.last.cpu_nanos => Self { last: sample, before: None },
            known => Self { last: sample, before: known.map(|known| known.last) },
        }
    }

    fn rate(&self) -> Option<Rate> {
        let before = self.before?;
        let window = Duration::try_from(self.last.at.duration_since(before.at)).ok()?;
        let used = u128::from(self.last.cpu_nanos - before.cpu_nanos) * 1_000_000_000;
        let cpu = u64::try_from(used.checked_div(window.as_nanos())?).ok()?;
        Some(Rate { at: self.last.at, window, cpu, memory: self.last.memory })
    }
}

/// The samples of all nodes and containers that were told of last.
#[derive(Debug, Default)]
pub(super) struct Samples {
    nodes: BTreeMap<String, Pair>,
    /// By the names of their containers: a pod has few, and there are many pods.
    pods: BTreeMap<PodRef, Box<[(String, Pair)]>>,
}

impl Samples {
    /// What the kubelets of all nodes say now; what they do not tell of is gone.
    pub(super) fn add(&mut self, answers: Vec<(String, Summary)>) {
        let (mut nodes, mut pods) = (BTreeMap::new(), BTreeMap::new());
        for (name, summary) in answers {
            if let Some(sample) = summary.node.sample() {
                let pair = Pair::next(self.nodes.get(&name), sample);
                nodes.insert(name, pair);
            }
            for PodSummary { pod_ref, containers } in summary.pods {
                let known = self.pods.get(&pod_ref);
                let pairs = containers.into_iter().filter_map(|usage| {
                    let known = known.and_then(|known| known.iter().find(|(name, _)| *name == usage.name));
                    let pair = Pair::next(known.map(|(_, pair)| pair), usage.sample()?);
                    Some((usage.name, pair))
                });
                let mut pairs: Vec<_> = pairs.collect();
                pairs.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                pods.insert(pod_ref, pairs.into());
            }
        }
        *self = Self { nodes, pods };
    }

    /// What a node uses.
    pub(super) fn node(&self, name: &str) -> Option<Rate> {
        self.nodes.get(name)?.rate()
    }

    /// What the containers of a pod use, if that is known of all of them.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Option<Vec<(&str, Rate)>> {
        let pod = PodRef { namespace: namespace.to_owned(), name: name.to_owned() };
        let pairs = self.pods.get(&pod).filter(|pairs| !pairs.is_empty())?;
        pairs.iter().map(|(name, pair)| Some((name.as_str(), pair.rate()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(second: u8, cpu: u64, memory: u64) -> Vec<(String, Summary)> {
        let time = format!("2026-01-01T00:00:{second:02}Z");
        let usage = json!({ "name": "c", "cpu": { "time": time, "usageCoreNanoSeconds": cpu },
            "memory": { "time": time, "workingSetBytes": memory } });
        let pod = json!({ "podRef": { "name": "p", "namespace": "d", "uid": "u" }, "containers": [usage] });
        let summary = json!({ "node": usage, "pods": [pod] });
        vec![("n".to_owned(), serde_json::from_value(summary).unwrap())]
    }

    #[test]
    fn two_samples_make_a_rate() {
        let mut samples = Samples::default();
        samples.add(summary(0, 1_000, 5));
        assert_eq!((samples.node("n"), samples.pod("d", "p")), (None, None));
        samples.add(summary(10, 5_000_001_000, 7));
        let rate = samples.node("n").unwrap();
        assert_eq!((rate.cpu, rate.memory, rate.window.as_secs()), (500_000_000, 7, 10));
        assert_eq!(samples.pod("d", "p"), Some(vec![("c", rate)]));
        // The same once more changes nothing.
        samples.add(summary(10, 5_000_001_000, 7));
        assert_eq!(samples.node("n"), Some(rate));
    }

    #[test]
    fn a_counter_that_begins_anew_is_no_rate() {
        let mut samples = Samples::default();
        samples.add(summary(0, 1_000, 5));
        samples.add(summary(10, 10, 5));
        assert_eq!(samples.node("n"), None);
        samples.add(summary(20, 20, 5));
        assert_eq!(samples.node("n").unwrap().cpu, 1);
    }

    #[test]
    fn what_is_not_told_of_is_forgotten() {
        let mut samples = Samples::default();
        samples.add(summary(0, 1, 5));
        samples.add(summary(10, 2, 5));
        samples.add(Vec::new());
        assert_eq!((samples.node("n"), samples.pod("d", "p")), (None, None));
    }
}
