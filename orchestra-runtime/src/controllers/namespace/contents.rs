//! Deletes what is in a namespace, kind by kind.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use kube::{
    Client,
    api::{DeleteParams, ListParams},
    core::{PartialObjectMeta, Request},
};

use crate::controllers::{
    api_error,
    served::{Served, ServedKind},
};

/// What is left of a namespace, and what went wrong.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// How many objects of each kind (`pods.`, `deployments.apps`) are left.
    pub(super) instances: BTreeMap<String, usize>,
    /// How many objects each finalizer holds.
    pub(super) finalizers: BTreeMap<String, usize>,
    /// How long the pods that are left may take at most to end.
    pub(super) grace: Option<Duration>,
    /// Groups whose kinds could not be found out.
    pub(super) discovery_failures: Vec<String>,
    /// Kinds whose objects could not be deleted.
    pub(super) deletion_failures: Vec<String>,
}

impl Contents {
    /// Whether nothing is left, for certain.
    pub(super) fn is_empty(&self) -> bool {
        self.instances.is_empty() && self.discovery_failures.is_empty() && self.deletion_failures.is_empty()
    }

    fn count(&mut self, kind: &ServedKind, objects: &[PartialObjectMeta], now: Timestamp) {
        if objects.is_empty() {
            return;
        }
        self.instances.insert(kind.qualified_plural(), objects.len());
        for finalizer in objects.iter().flat_map(|object| object.metadata.finalizers.iter().flatten()) {
            *self.finalizers.entry(finalizer.clone()).or_default() += 1;
        }
        if is_pods(kind) {
            let ends = objects.iter().filter_map(|object| Some(object.metadata.deletion_timestamp.as_ref()?.0));
            let left = ends.map(|end| Duration::try_from(end.duration_since(now)).unwrap_or_default());
            self.grace = left.max().max(self.grace);
        }
    }
}

fn is_pods(kind: &ServedKind) -> bool {
    kind.resource.group.is_empty() && kind.resource.plural == "pods"
}

/// Deletes the objects of all kinds in `namespace`. While pods are left nothing else is deleted, so that they can end in order: their
/// secrets, policies and services stay with them (KEP-5080).
pub(super) async fn delete_all(client: &Client, namespace: &str, served: &Served, now: Timestamp) -> Contents {
    let mut contents = Contents { discovery_failures: served.failures.clone(), ..Contents::default() };
    let deletable = |kind: &&ServedKind| {
        kind.is_namespaced
            && kind.supports(&["list"])
            && (kind.supports(&["delete"]) || kind.supports(&["deletecollection"]))
    };
    let (pods, others): (Vec<_>, Vec<_>) = served.kinds.iter().filter(deletable).partition(|kind| is_pods(kind));
    for kind in pods {
        delete_kind(client, namespace, kind, now, &mut contents).await;
    }
    if !contents.instances.is_empty() {
        return contents;
    }
    for kind in others {
        delete_kind(client, namespace, kind, now, &mut contents).await;
    }
    contents
}

async fn delete_kind(client: &Client, namespace: &str, kind: &ServedKind, now: Timestamp, contents: &mut Contents) {
    match try_delete_kind(client, namespace, kind).await {
        Ok(left) => contents.count(kind, &left, now),
        // The kind itself went away.
        Err(error) if api_error::is_not_found(&error) => {}
        Err(error) => {
            let message = format!("{}: {}", kind.qualified_plural(), api_error::message(&error));
            contents.deletion_failures.push(message);
        }
    }
}

/// Deletes all objects of a kind and returns those that are left.
async fn try_delete_kind(
    client: &Client,
    namespace: &str,
    kind: &ServedKind,
) -> Result<Vec<PartialObjectMeta>, kube::Error> {
    let api = kind.api(client, Some(namespace));
    let list = async || Ok::<_, kube::Error>(api.list_metadata(&ListParams::default()).await?.items);
    let present = list().await?;
    if present.is_empty() {
        return Ok(present);
    }
    if kind.supports(&["deletecollection"]) {
        let request = Request::new(api.resource_url())
            .delete_collection(&DeleteParams::background(), &ListParams::default())
            .map_err(kube::Error::BuildRequest)?;
        client.request_text(request).await?;
    } else {
        for object in &present {
            let name = object.metadata.name.as_deref().unwrap_or_default();
            match api.delete(name, &DeleteParams::background()).await {
                Err(error) if !api_error::is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
    }
    list().await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(plural: &str, group: &str) -> ServedKind {
        let resource =
            json!({"name": plural, "singularName": "", "namespaced": true, "kind": plural, "verbs": ["list"]});
        let mut served = Served::default();
        served.add(group, "v1", vec![serde_json::from_value(resource).unwrap()]);
        served.kinds.remove(0)
    }

    #[test]
    fn what_is_left_is_counted_with_its_finalizers_and_grace() {
        let objects = json!([
            {"metadata": {"name": "a", "finalizers": ["x.io/a", "x.io/b"], "deletionTimestamp": "2026-01-01T00:00:30Z"}},
            {"metadata": {"name": "b", "finalizers": ["x.io/a"], "deletionTimestamp": "2026-01-01T00:00:10Z"}},
        ]);
        let objects: Vec<PartialObjectMeta> = serde_json::from_value(objects).unwrap();
        let mut contents = Contents::default();
        contents.count(&kind("pods", ""), &objects, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(contents.instances, [("pods.".to_owned(), 2)].into());
        assert_eq!(contents.finalizers, [("x.io/a".to_owned(), 2), ("x.io/b".to_owned(), 1)].into());
        assert_eq!(contents.grace, Some(Duration::from_secs(30)));
        assert!(!contents.is_empty());
    }
}
