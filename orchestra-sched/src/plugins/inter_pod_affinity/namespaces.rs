//! The labels of namespaces.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Namespace;
use orchestra_core::{ObjectKey, scheduler::Snapshot, selector::label::Selector};

/// The labels of one namespace. One that is not known has none.
#[derive(Clone)]
pub(super) struct NamespaceLabels(Option<Arc<Namespace>>);

impl NamespaceLabels {
    /// Those of the namespace called `name`.
    pub(super) fn of(snapshot: &Snapshot, name: &str) -> Self {
        Self(snapshot.objects().get(&ObjectKey::cluster(name)).cloned())
    }

    pub(super) fn get(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.0.as_ref().and_then(|namespace| namespace.metadata.labels.as_ref()).unwrap_or(&NONE)
    }
}

/// The names of the namespaces whose labels are like this.
pub(super) fn selected<'a>(snapshot: &'a Snapshot, selector: &'a Selector) -> impl Iterator<Item = String> + 'a {
    let namespaces = snapshot.objects().iter::<Namespace>();
    let selected = namespaces.filter(|namespace| selector.matches_optional(namespace.metadata.labels.as_ref()));
    selected.filter_map(|namespace| namespace.metadata.name.clone())
}
