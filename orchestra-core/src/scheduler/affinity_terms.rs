use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, WeightedPodAffinityTerm};

use super::PodInfo;
use crate::selector::label::{ParseError, Selector};

/// A term of inter-pod affinity or anti-affinity, read once: the pods it means, and the label by whose values nodes are near each other.
///
/// `matchLabelKeys` and `mismatchLabelKeys` are not looked at, as in kube-scheduler: the API server has put what they say into the selector
/// when the pod was created (KEP-3633), and a label that changed since must not count.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AffinityTerm {
    /// The label of nodes.
    pub topology_key: String,
    /// What the pods' labels are like.
    pub selector: Selector,
    /// Namespaces that the pods may be in.
    pub namespaces: BTreeSet<String>,
    /// What the labels of other namespaces that they may be in are like.
    pub namespace_selector: Selector,
}

impl AffinityTerm {
    /// Reads a term of a pod in `namespace`, which is meant where the term speaks of none.
    fn read(namespace: &str, term: &PodAffinityTerm) -> Result<Self, ParseError> {
        let named = term.namespaces.iter().flatten();
        let own = term.namespace_selector.is_none().then_some(namespace);
        let namespaces: BTreeSet<String> = named.cloned().collect();
        let selector = |selector: &Option<_>| selector.as_ref().map_or(Ok(Selector::nothing()), Selector::try_from);
        Ok(Self {
            topology_key: term.topology_key.clone(),
            selector: selector(&term.label_selector)?,
            namespaces: if namespaces.is_empty() { own.map(str::to_owned).into_iter().collect() } else { namespaces },
            namespace_selector: selector(&term.namespace_selector)?,
        })
    }

    /// Whether `pod`, whose namespace has these labels, is meant.
    pub fn matches(&self, pod: &PodInfo, namespace_labels: &BTreeMap<String, String>) -> bool {
        let namespace = pod.key().namespace().unwrap_or_default();
        (self.namespaces.contains(namespace) || self.namespace_selector.matches(namespace_labels))
            && self.selector.matches(pod.labels())
    }
}

/// All inter-pod affinity of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AffinityTerms {
    /// Each has to mean a pod that is near.
    pub required_affinity: Vec<AffinityTerm>,
    /// None may mean a pod that is near.
    pub required_anti_affinity: Vec<AffinityTerm>,
    /// How much is gained by being near a pod, less than zero for anti-affinity.
    pub preferred: Vec<(i64, AffinityTerm)>,
    /// What could not be read, in Kubernetes' words. Of a group of terms of which one is invalid there is none.
    pub error: Option<String>,
}

impl AffinityTerms {
    /// The terms of `pod`; `None` if it has no terms.
    pub(super) fn of(pod: &Pod) -> Option<Box<Self>> {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
        let (near, far) = (affinity.pod_affinity.as_ref(), affinity.pod_anti_affinity.as_ref());
        let mut reader =
            Reader { namespace: pod.metadata.namespace.as_deref().unwrap_or_default(), errors: Vec::new() };
        let required_affinity = reader.required(
            "requiredAffinityTerms",
            near.and_then(|near| near.required_during_scheduling_ignored_during_execution.as_deref()),
        );
        let required_anti_affinity = reader.required(
            "requiredAntiAffinityTerms",
            far.and_then(|far| far.required_during_scheduling_ignored_during_execution.as_deref()),
        );
        let mut preferred = reader.preferred(
            "preferredAffinityTerms",
            1,
            near.and_then(|near| near.preferred_during_scheduling_ignored_during_execution.as_deref()),
        );
        preferred.extend(reader.preferred(
            "preferredAntiAffinityTerms",
            -1,
            far.and_then(|far| far.preferred_during_scheduling_ignored_during_execution.as_deref()),
        ));
        let error = reader.error();
        let terms = Self { required_affinity, required_anti_affinity, preferred, error };
        (terms != Self::default()).then(|| Box::new(terms))
    }
}

/// Reads groups of terms, and keeps what is wrong with them.
struct Reader<'a> {
    namespace: &'a str,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn required(&mut self, group: &str, terms: Option<&[PodAffinityTerm]>) -> Vec<AffinityTerm> {
        let terms = terms.unwrap_or_default().iter().map(|term| AffinityTerm::read(self.namespace, term)).collect();
        self.keep(group, terms)
    }

    fn preferred(
        &mut self,
        group: &str,
        sign: i64,
        terms: Option<&[WeightedPodAffinityTerm]>,
    ) -> Vec<(i64, AffinityTerm)> {
        let read = |term: &WeightedPodAffinityTerm| {
            Ok((sign * i64::from(term.weight), AffinityTerm::read(self.namespace, &term.pod_affinity_term)?))
        };
        let terms = terms.unwrap_or_default().iter().map(read).collect();
        self.keep(group, terms)
    }

    fn keep<T>(&mut self, group: &str, terms: Result<Vec<T>, ParseError>) -> Vec<T> {
        terms.unwrap_or_else(|error| {
            self.errors.push(format!("{group}: {error}"));
            Vec::new()
        })
    }

    fn error(&self) -> Option<String> {
        match self.errors.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => Some(format!("[{}]", several.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(affinity: Value) -> PodInfo {
        let pod = json!({
            "metadata": { "name": "p", "namespace": "home", "labels": { "app": "web" } },
            "spec": { "containers": [], "affinity": affinity },
        });
        serde_json::from_value::<Pod>(pod).unwrap().into()
    }

    /// The only term of a pod with this one.
    fn term(term: Value) -> AffinityTerm {
        let mut full = json!({ "topologyKey": "zone", "labelSelector": {} });
        full.as_object_mut().unwrap().extend(term.as_object().unwrap().clone());
        let pod = pod(json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [full] } }));
        pod.affinity_terms().unwrap().required_affinity[0].clone()
    }

    fn namespaces(term: &AffinityTerm) -> Vec<&str> {
        term.namespaces.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_pod_without_terms_has_none() {
        assert!(pod(Value::Null).affinity_terms().is_none());
        assert!(pod(json!({ "podAffinity": {}, "nodeAffinity": {} })).affinity_terms().is_none());
    }

    #[test]
    fn the_pods_own_namespace_is_meant_if_none_is_named() {
        assert_eq!(namespaces(&term(json!({}))), ["home"]);
        assert_eq!(namespaces(&term(json!({ "namespaces": [] }))), ["home"]);
        assert_eq!(namespaces(&term(json!({ "namespaces": ["b", "a"] }))), ["a", "b"]);
        assert!(namespaces(&term(json!({ "namespaceSelector": {} }))).is_empty());
        assert_eq!(namespaces(&term(json!({ "namespaces": ["a"], "namespaceSelector": {} }))), ["a"]);
    }

    #[test]
    fn namespaces_are_named_or_selected() {
        let (none, team) = (BTreeMap::new(), BTreeMap::from([("team".to_owned(), "a".to_owned())]));
        let other = pod(Value::Null);
        assert!(term(json!({})).matches(&other, &none));
        assert!(!term(json!({ "namespaces": ["away"] })).matches(&other, &none));
        assert!(term(json!({ "namespaceSelector": {} })).matches(&other, &none), "an empty selector means all");
        let selected = json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } });
        assert!(!term(selected.clone()).matches(&other, &none));
        assert!(term(selected).matches(&other, &team));
        let either = json!({ "namespaces": ["home"], "namespaceSelector": { "matchLabels": { "team": "b" } } });
        assert!(term(either).matches(&other, &team));
    }

    #[test]
    fn without_a_selector_no_pod_is_meant() {
        let other = pod(Value::Null);
        assert!(!term(json!({ "labelSelector": null })).matches(&other, &BTreeMap::new()));
        assert!(term(json!({ "labelSelector": {} })).matches(&other, &BTreeMap::new()));
        assert!(
            !term(json!({ "labelSelector": { "matchLabels": { "app": "db" } } })).matches(&other, &BTreeMap::new())
        );
    }

    #[test]
    fn anti_affinity_is_preferred_less_than_nothing() {
        let weighted = |weight: i32| json!({ "weight": weight, "podAffinityTerm": { "topologyKey": "zone" } });
        let preferred = |terms: &[Value]| json!({ "preferredDuringSchedulingIgnoredDuringExecution": terms });
        let pod = pod(
            json!({ "podAffinity": preferred(&[weighted(7), weighted(2)]), "podAntiAffinity": preferred(&[weighted(5)]) }),
        );
        let weights: Vec<i64> = pod.affinity_terms().unwrap().preferred.iter().map(|(weight, _)| *weight).collect();
        assert_eq!(weights, [7, 2, -5]);
    }

    #[test]
    fn an_invalid_term_takes_its_group_with_it() {
        let near = |operator: &str| json!({ "topologyKey": "zone", "labelSelector": { "matchExpressions": [{ "key": "a", "operator": operator }] } });
        let required = |terms: &[Value]| json!({ "requiredDuringSchedulingIgnoredDuringExecution": terms });
        let affinity = |anti: &str| json!({ "podAffinity": required(&[near("Exists"), near("Near")]), "podAntiAffinity": required(&[near(anti)]) });
        let invalid = pod(affinity("Exists"));
        let terms = invalid.affinity_terms().unwrap();
        assert_eq!((terms.required_affinity.len(), terms.required_anti_affinity.len()), (0, 1));
        let expected = "requiredAffinityTerms: \"Near\" is not a valid label selector operator";
        assert_eq!(terms.error.as_deref(), Some(expected));
        let both = pod(affinity("Far"));
        let error = both.affinity_terms().unwrap().error.as_deref().unwrap();
        let second = "requiredAntiAffinityTerms: \"Far\" is not a valid label selector operator";
        assert_eq!(error, format!("[{expected}, {second}]"));
    }
}
