//! What cgroups are granted (`pkg/kubelet/cm/helpers_linux.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use orchestra_core::{
    quantity::Quantity,
    scheduler::{PodInfo, Resources},
};

use super::sum::limits_of;
use crate::kubelet::{
    container::{MIN_SHARES, QosClass, qos_class, quota, shares},
    huge_pages::{self, Pages},
};

/// At most so much, or as much as there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kubelet) struct Most(pub(super) Option<u64>);

impl Most {
    const ALL: Self = Self(None);

    /// Nothing stands for no limit, as it does in the API.
    fn of(amount: i64) -> Self {
        Self(u64::try_from(amount).ok().filter(|amount| *amount > 0))
    }

    fn or_more(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, other)| one.max(other)))
    }
}

/// What a cgroup is granted. What is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::kubelet) struct Limits {
    /// The weight for time of processors, 2 to 262144, as cgroup v1 has it.
    pub(super) shares: Option<u64>,
    /// Microseconds of processors' time in 100 ms.
    pub(super) quota: Option<Most>,
    /// Bytes.
    pub(super) memory: Option<Most>,
    pub(super) processes: Option<Most>,
    /// Of a size that is not named there are none.
    pub(super) huge_pages: Option<Pages>,
}

impl Limits {
    /// A pod's, of which each may have so many processes. A limit holds for a pod as a whole if it has one itself, or each of its
    /// containers has.
    pub(in crate::kubelet) fn of_pod(pod: &Pod, processes: Option<u64>) -> Self {
        let (cpu, memory) = limits_of(pod);
        let info = PodInfo::new(Pod { status: None, ..pod.clone() }.into());
        let requests = info.requests();
        let huge_pages = Some(huge_pages::of(requests));
        let limits = Self { processes: Some(Most(processes)), huge_pages, ..Self::default() };
        match qos_class(pod) {
            QosClass::BestEffort => {
                Self { shares: Some(MIN_SHARES), quota: Some(Most::ALL), memory: Some(Most::ALL), ..limits }
            }
            QosClass::Guaranteed | QosClass::Burstable => Self {
                shares: Some(shares(requests.milli_cpu)),
                quota: Some(Most::of(quota(cpu.unwrap_or_default()))),
                memory: Some(Most::of(memory.unwrap_or_default())),
                ..limits
            },
        }
    }

    /// Those of a class of pods that ask for so many thousandths of a processor.
    pub(super) fn of_class(milli_cpu: i64) -> Self {
        Self { shares: Some(shares(milli_cpu)), ..Self::default() }
    }

    /// Those of all pods, on a node that has this and can have so many processes. What is reserved for evictions is theirs until pods are
    /// evicted; huge pages are no memory that they could have otherwise.
    pub(super) fn of_node(capacity: &BTreeMap<String, String>, processes: Option<u64>) -> Self {
        let amount = |name: &str| capacity.get(name).and_then(|amount| amount.parse::<Quantity>().ok());
        let huge_pages = huge_pages::of_node(capacity);
        let set_aside = i64::try_from(huge_pages.values().sum::<u64>()).unwrap_or(i64::MAX);
        let memory = amount("memory").unwrap_or_default().value().saturating_sub(set_aside);
        Self {
            shares: amount("cpu").map(|cpu| shares(cpu.milli_value())),
            memory: Some(Most::of(memory)),
            processes: processes.map(|most| Most(Some(most))),
            quota: None,
            huge_pages: Some(huge_pages),
        }
    }

    /// The larger of both, of which `other` is another moment of the same cgroup.
    pub(in crate::kubelet) fn or_more(self, other: Self) -> Self {
        let most = |one: Option<Most>, other: Option<Most>| one.zip(other).map(|(one, other)| one.or_more(other));
        Self {
            shares: self.shares.max(other.shares),
            quota: most(self.quota, other.quota),
            memory: most(self.memory, other.memory),
            processes: most(self.processes, other.processes),
            // Nothing changes them.
            huge_pages: self.huge_pages,
        }
    }

    /// Bytes of memory, if they are limited.
    pub(in crate::kubelet) fn memory(&self) -> Option<u64> {
        self.memory.and_then(|most| most.0)
    }
}

/// What a pod of the class `Burstable` asks for, in thousandths of a processor; `None` if it is of another.
pub(super) fn burstable(pod: &Pod, requests: &Resources) -> Option<i64> {
    (qos_class(pod) == QosClass::Burstable).then_some(requests.milli_cpu)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(spec: Value) -> Limits {
        Limits::of_pod(&serde_json::from_value(json!({ "spec": spec })).unwrap(), Some(100))
    }

    fn container(requests: Value, limits: Value) -> Value {
        json!({ "name": "c", "resources": { "requests": requests, "limits": limits } })
    }

    fn granted(shares: u64, quota: Option<u64>, memory: Option<u64>) -> Limits {
        Limits {
            shares: Some(shares),
            quota: Some(Most(quota)),
            memory: Some(Most(memory)),
            processes: Some(Most(Some(100))),
            huge_pages: Some(Pages::new()),
        }
    }

    #[test]
    fn classes_are_granted_what_they_are_promised() {
        assert_eq!(of(json!({ "containers": [container(json!({}), json!({}))] })), granted(2, None, None));
        let both = json!({ "cpu": "500m", "memory": "64Mi" });
        let guaranteed = of(json!({ "containers": [container(both.clone(), both.clone())] }));
        assert_eq!(guaranteed, granted(512, Some(50_000), Some(64 << 20)));
        let burstable = of(json!({ "containers": [container(json!({ "cpu": "1m" }), both.clone())] }));
        assert_eq!(burstable, granted(2, Some(50_000), Some(64 << 20)));
    }

    #[test]
    fn a_pod_is_limited_if_each_of_its_containers_is() {
        let (none, memory) = (json!({}), json!({ "memory": "64Mi" }));
        let two = |other| of(json!({ "containers": [container(none.clone(), memory.clone()), other] }));
        assert_eq!(two(container(none.clone(), json!({ "memory": "1Mi", "cpu": "1" }))).memory(), Some(65 << 20));
        assert_eq!(two(container(none.clone(), json!({ "cpu": "1" }))).memory(), None);
        let init =
            json!({ "containers": [container(none.clone(), memory.clone())], "initContainers": [{ "name": "i" }] });
        assert_eq!(of(init).memory(), None);
    }

    #[test]
    fn limits_of_the_pod_itself_count_instead() {
        let spec = json!({
            "containers": [{ "name": "c" }],
            "resources": { "requests": { "cpu": "250m" }, "limits": { "cpu": "1", "memory": "1Gi" } },
            "overhead": { "cpu": "250m", "memory": "1Gi" },
        });
        assert_eq!(of(spec), granted(512, Some(125_000), Some(2 << 30)));
    }

    #[test]
    fn a_pod_has_the_huge_pages_that_its_containers_have_together() {
        let two = json!({ "hugepages-2Mi": "4Mi", "memory": "1Gi" });
        let (a, b) = (container(two.clone(), two.clone()), container(two.clone(), two));
        assert_eq!(of(json!({ "containers": [a, b] })).huge_pages, Some(Pages::from([(2 << 20, 8 << 20)])));
    }

    #[test]
    fn what_is_between_two_moments_has_what_either_has() {
        let (one, other) = (granted(2, Some(1000), None), granted(4, Some(500), Some(7)));
        assert_eq!(one.or_more(other), granted(4, Some(1000), None));
    }

    #[test]
    fn all_pods_have_what_the_node_has() {
        let capacity = [("cpu", "4"), ("memory", "8Gi"), ("hugepages-2Mi", "1Gi"), ("pods", "110")];
        let capacity = capacity.map(|(name, amount)| (name.to_owned(), amount.to_owned())).into();
        let limits = Limits::of_node(&capacity, Some(30_000));
        assert_eq!((limits.shares, limits.memory()), (Some(4096), Some(7 << 30)));
        assert_eq!((limits.processes, limits.quota), (Some(Most(Some(30_000))), None));
        assert_eq!(limits.huge_pages, Some(Pages::from([(2 << 20, 1 << 30)])));
    }
}
