//! Which objects a list or a watch shows.

use orchestra_core::{
    selector::{field, label},
    store::KeyRange,
};

use super::{registry::Resource, request::options::ListOptions};
use crate::cache::{Attributes, Entry};

/// The scope and the selectors of a request.
pub(super) struct Selection {
    pub(super) range: KeyRange,
    labels: label::Selector,
    fields: field::Selector,
}

impl Selection {
    pub(super) fn new(resource: &Resource, namespace: Option<&str>, name: Option<&str>, options: &ListOptions) -> Self {
        let name = name.or_else(|| options.fields.required_value("metadata.name"));
        let scope = namespace.or_else(|| match resource.namespaced {
            true => options.fields.required_value("metadata.namespace"),
            false => None,
        });
        let range = match (name, scope) {
            (Some(name), scope) if scope.is_some() || !resource.namespaced => {
                KeyRange::single(&resource.key(scope, name))
            }
            _ => KeyRange::prefix(&resource.prefix(scope)),
        };
        Self { range, labels: options.labels.clone(), fields: options.fields.clone() }
    }

    /// Whether all objects of the range are shown.
    pub(super) fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_empty()
    }

    pub(super) fn matches(&self, resource: &Resource, entry: &Entry) -> bool {
        if self.is_everything() {
            return true;
        }
        let attributes = entry.attributes(|value| extract(resource, value));
        let (namespace, name) = resource.names(&entry.key);
        let known = resource.rules.selectable_fields();
        let field = |field: &str| match field {
            "metadata.name" => Some(name),
            "metadata.namespace" => Some(namespace.unwrap_or_default()),
            _ => known
                .iter()
                .position(|other| *other == field)
                .and_then(|i| attributes.fields.get(i))
                .map(String::as_str),
        };
        self.labels.matches(&attributes.labels) && self.fields.matches(field)
    }
}

fn extract(resource: &Resource, value: &[u8]) -> Attributes {
    // What cannot be decoded is selected by no label and no field.
    let Ok(object) = resource.rules.decode_stored(value) else { return Attributes::default() };
    let labels = object.metadata().labels.clone().unwrap_or_default();
    Attributes { labels, fields: resource.rules.fields(&*object) }
}

impl Resource {
    /// The namespace and name in a key of this row.
    pub(super) fn names<'a>(&self, key: &'a str) -> (Option<&'a str>, &'a str) {
        let rest = key.strip_prefix(&self.storage_prefix).unwrap_or(key);
        match rest.split_once('/') {
            Some((namespace, name)) if self.namespaced => (Some(namespace), name),
            _ => (None, rest),
        }
    }
}
