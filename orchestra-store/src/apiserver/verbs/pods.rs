//! The binding of pods to nodes, one or many at once.

use std::{any::Any, collections::BTreeSet};

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Binding, Pod};
use orchestra_core::store::{Precondition, Revision, StoreError, Transaction};
use serde::Deserialize;

use super::{Answer, Call, body, encode};
use crate::apiserver::{
    ApiError,
    field::{self, Path},
    kinds::pod::{self, BindError},
    request::options::WriteOptions,
    server::Shared,
    status,
};

pub(super) fn done() -> Answer {
    Answer::json(201, status::success(None, Some(201)).into())
}

/// Bindings of several pods. Kubernetes has no such kind: its endpoint takes one `Binding`.
#[derive(Deserialize)]
struct BindingList {
    #[serde(default)]
    items: Vec<Binding>,
}

/// Binds a pod to a node. The name is in the path, or in the body at the old endpoint for bindings of all pods. That takes many at once too.
pub(super) async fn bind(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let bindings = match &call.name {
        None if body::kind(&call)? == "BindingList" => several(body::decode_other(&call, "BindingList")?)?,
        name => {
            let binding: Binding = body::decode_other(&call, "Binding")?;
            vec![(name.clone().or_else(|| binding.metadata.name.clone()), binding)]
        }
    };
    bind_all(shared, call, &bindings, options.dry_run).await
}

/// The bindings with the names of their pods, each of which is there once.
fn several(list: BindingList) -> Result<Vec<(Option<String>, Binding)>, ApiError> {
    let mut names = BTreeSet::new();
    for (index, binding) in list.items.iter().enumerate() {
        let name = binding.metadata.name.as_deref().unwrap_or_default();
        let path = Path::new("items").index(index).child("metadata").child("name");
        let wrong = match name {
            "" => field::Error::required(&path, ""),
            name if !names.insert(name) => field::Error::duplicate(&path, name),
            _ => continue,
        };
        return Err(ApiError::invalid_kind("", "BindingList", "", &[wrong]));
    }
    Ok(list.items.into_iter().map(|binding| (binding.metadata.name.clone(), binding)).collect())
}

/// Binds the pods of these names in one transaction of the store, or none: what keeps one from being bound is the answer, and names it. Watches
/// tell of all of them with one resourceVersion.
async fn bind_all(
    shared: &Shared,
    mut call: Call,
    bindings: &[(Option<String>, Binding)],
    dry_run: bool,
) -> Result<Answer, ApiError> {
    loop {
        let mut transaction = Transaction::new();
        for (name, binding) in bindings {
            call.name.clone_from(name);
            let Bound { key, value, revision } = bound(shared, &call, binding).await?;
            transaction = transaction.put(key.as_str(), value, Precondition::Unchanged(revision));
        }
        if dry_run || bindings.is_empty() {
            return Ok(done());
        }
        match shared.store.commit(transaction).await {
            Ok(_) => return Ok(done()),
            // Somebody else's write came first; the next look tells whether the pods are bound now.
            Err(StoreError::Conflict { .. }) => {}
            // The store takes no transaction of that size: as with a Kubernetes, which knows no lists, it is for the client to bind one by one.
            Err(StoreError::InvalidArgument(why)) => return Err(ApiError::bad_request(why)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A pod as it is to be stored once it is bound.
struct Bound {
    key: String,
    value: Bytes,
    /// The state that this was made from.
    revision: Revision,
}

async fn bound(shared: &Shared, call: &Call, binding: &Binding) -> Result<Bound, ApiError> {
    let (resource, key) = (&call.resource, call.key());
    let current = shared.stored(resource, &key).await?.ok_or_else(|| ApiError::not_found(resource, call.name()))?;
    let mut object = current.decode(resource)?;
    let Some(pod) = (&mut *object as &mut dyn Any).downcast_mut::<Pod>() else {
        return Err(ApiError::not_supported(resource, "bind"));
    };
    pod::bind(pod, binding, call.now).map_err(|error| refusal(call, error))?;
    Ok(Bound { key, value: encode(&mut *object)?, revision: current.revision })
}

fn refusal(call: &Call, error: BindError) -> ApiError {
    match error {
        BindError::Conflict(_) => {
            let mut binding = (*call.resource).clone();
            "pods/binding".clone_into(&mut binding.plural);
            ApiError::conflict(&binding, call.name(), &error.to_string())
        }
        BindError::WrongName => ApiError::bad_request(error.to_string()),
        _ => ApiError::unclassified(500, error.to_string()),
    }
}
