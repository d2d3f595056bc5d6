//! The labels of namespaces.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Namespace;
use orchestra_core::{scheduler::Snapshot, selector::label::Selector};

static NONE: BTreeMap<String, String> = BTreeMap::new();

/// The labels of one namespace. One that is not known has none.
#[derive(Clone)]
pub(super) struct NamespaceLabels(Option<Arc<Namespace>>);

impl NamespaceLabels {
    /// Those of the namespace called `name`.
    pub(super) fn of(snapshot: &Snapshot, name: &str) -> Self {
        let _ = (snapshot, name);
        Self(None)
    }

    pub(super) fn get(&self) -> &BTreeMap<String, String> {
        self.0.as_ref().and_then(|namespace| namespace.metadata.labels.as_ref()).unwrap_or(&NONE)
    }
}

/// The names of the namespaces whose labels are like this.
pub(super) fn selected(snapshot: &Snapshot, selector: &Selector) -> Vec<String> {
    let _ = (snapshot, selector);
    Vec::new()
}
