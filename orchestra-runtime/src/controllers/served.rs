//! Which kinds the API server serves, found by discovery.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::{
    Api, Client,
    api::DynamicObject,
    core::{ApiResource, PartialObjectMeta},
};
use tracing::warn;

/// A kind that is served.
#[derive(Clone, Debug)]
pub(super) struct ServedKind {
    pub(super) resource: ApiResource,
    pub(super) is_namespaced: bool,
    verbs: Vec<String>,
}

impl ServedKind {
    /// Whether all of these verbs can be used on it.
    pub(super) fn supports(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|served| served == verb))
    }

    /// Plural and group, as in `deployments.apps`; kinds of the core group end with a dot.
    pub(super) fn qualified_plural(&self) -> String {
        format!("{}.{}", self.resource.plural, self.resource.group)
    }

    /// Access to the objects of the kind: those of `namespace`, if the kind has namespaces and one is named.
    pub(super) fn api(&self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| self.is_namespaced) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// Access to no more than the metadata of all objects of the kind.
    pub(super) fn metadata_api(&self, client: &Client) -> Api<PartialObjectMeta> {
        Api::all_with(client.clone(), &self.resource)
    }

    fn new(group: &str, version: &str, resource: APIResource) -> Self {
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Self {
            resource: ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version,
                kind: resource.kind,
                plural: resource.name,
            },
            is_namespaced: resource.namespaced,
            verbs: resource.verbs,
        }
    }
}

/// The kinds that are served, each in its group's preferred version, in the server's order.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) kinds: Vec<ServedKind>,
    /// What could not be found out: a group whose server does not answer, for instance.
    pub(super) failures: Vec<String>,
}

/// Asks the server. It is an error only if nothing can be found out at all.
pub(super) async fn discover(client: &Client) -> Result<Served, kube::Error> {
    let mut served = Served::default();
    let core = client.list_core_api_resources("v1").await?;
    served.add("", "v1", core.resources);
    for group in client.list_api_groups().await?.groups {
        let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next());
        let Some(preferred) = preferred else { continue };
        match client.list_api_group_resources(&preferred.group_version).await {
            Ok(list) => served.add(&group.name, &preferred.version, list.resources),
            Err(error) => {
                warn!(group_version = preferred.group_version, %error, "a group's kinds are unknown");
                served.failures.push(format!("{}: {error}", preferred.group_version));
            }
        }
    }
    Ok(served)
}

impl Served {
    pub(super) fn add(&mut self, group: &str, version: &str, resources: Vec<APIResource>) {
        let kinds = resources.into_iter().filter(|resource| !resource.name.contains('/'));
        self.kinds.extend(kinds.map(|resource| ServedKind::new(group, version, resource)));
    }
}
