use kube::{
    Client, Resource as _,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
    discovery::{self, Scope},
};
use orchestra_store::apiserver::validation::name;

use super::{Document, ManifestError, Problem};

/// Creates the object of `document` in the cluster of `client` and returns what the server made of it. A namespaced object
/// that names no namespace goes to the client's default one. Fields that the server does not know are refused, as
/// `kubectl create` refuses them.
pub async fn create(client: &Client, document: &Document) -> Result<DynamicObject, ManifestError> {
    let (resource, scope) = resolve(client, document).await.map_err(|problem| document.error(problem))?;
    let namespace = namespace(client, document).map_err(|problem| document.error(problem))?;
    let namespace = matches!(scope, Scope::Namespaced).then_some(namespace);
    // The object is sent as it was written: a typed one would lose unknown fields before the server could refuse them.
    let url = format!("{}?fieldValidation=Strict", DynamicObject::url_path(&resource, namespace));
    let request = http::Request::post(url)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(document.object().to_string().into_bytes())
        .map_err(|error| document.error(Problem::Client(kube::Error::HttpError(error))))?;
    client.request(request).await.map_err(|error| {
        document.error(match error {
            kube::Error::Api(status) => Problem::Refused(status),
            other => Problem::Client(other),
        })
    })
}

/// The namespace that the object is to be in if its kind has any.
fn namespace<'a>(client: &'a Client, document: &'a Document) -> Result<&'a str, Problem> {
    let named = document.object()["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty());
    let namespace = named.unwrap_or(client.default_namespace());
    match name::label(namespace, false) {
        None => Ok(namespace),
        Some(reason) => Err(Problem::Invalid { field: "metadata.namespace", value: namespace.to_owned(), reason }),
    }
}

async fn resolve(client: &Client, document: &Document) -> Result<(ApiResource, Scope), Problem> {
    let unknown =
        || Problem::UnknownKind { kind: document.kind().to_owned(), api_version: document.api_version().to_owned() };
    let (group, version) = document.api_version().split_once('/').unwrap_or(("", document.api_version()));
    // What is no name is none that the server could know, and no part of a path to ask it by.
    if !group.is_empty() && name::subdomain(group, false).is_some() || name::label(version, false).is_some() {
        return Err(unknown());
    }
    let kind = GroupVersionKind::gvk(group, version, document.kind());
    match discovery::pinned_kind(client, &kind).await {
        Ok((resource, capabilities)) => Ok((resource, capabilities.scope)),
        Err(kube::Error::Discovery(_)) => Err(unknown()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(unknown()),
        Err(other) => Err(Problem::Client(other)),
    }
}
