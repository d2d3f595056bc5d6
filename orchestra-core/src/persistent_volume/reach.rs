//! Which nodes reach a volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolume;

use crate::selector::node::Term;

/// The nodes that reach a volume (`nodeAffinity`), read once to be asked for many.
///
/// ```
/// use std::collections::BTreeMap;
/// use k8s_openapi::api::core::v1::PersistentVolume;
/// use orchestra_core::persistent_volume::Reach;
/// let volume: PersistentVolume = serde_json::from_str(
///     r#"{"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
///         {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}}}"#)?;
/// let zone = |name: &str| BTreeMap::from([("zone".to_owned(), name.to_owned())]);
/// let reach = Reach::of(&volume);
/// assert!(reach.includes("n1", &zone("a")) && !reach.includes("n2", &zone("b")));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reach {
    /// One is enough; `None` for every node.
    terms: Option<Vec<Term>>,
}

impl Reach {
    /// Reads a volume.
    pub fn of(volume: &PersistentVolume) -> Self {
        let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref());
        let required = affinity.and_then(|affinity| affinity.required.as_ref());
        Self { terms: required.map(|required| required.node_selector_terms.iter().map(Term::compile).collect()) }
    }

    /// Whether the node called `name` with these labels is one of them.
    pub fn includes(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(name, labels)))
    }
}
