//! The subresources of pods that write: binding, eviction.

use std::any::Any;

use k8s_openapi::{
    api::{
        core::v1::{Binding, Pod},
        policy::v1::Eviction,
    },
    apimachinery::pkg::apis::meta::v1::DeleteOptions,
};
use orchestra_core::store::{Precondition, StoreError, Transaction};

use super::{Answer, Call, body, delete, encode};
use crate::apiserver::{
    ApiError,
    kinds::pod::{self, BindError},
    request::options::WriteOptions,
    server::Shared,
    status,
};

fn done() -> Answer {
    Answer::json(201, status::success(None, Some(201)).into())
}

/// Binds a pod to a node. The name is in the path, or in the body at the old endpoint for bindings of all pods.
pub(super) async fn bind(shared: &Shared, mut call: Call) -> Result<Answer, ApiError> {
    let options = WriteOptions::parse(&call.query, "CreateOptions")?;
    let binding: Binding = body::decode_other(&call, "Binding")?;
    if call.name.is_none() {
        call.name = binding.metadata.name.clone();
    }
    let (resource, key) = (&call.resource, call.key());
    loop {
        let current = shared.stored(resource, &key).await?.ok_or_else(|| ApiError::not_found(resource, call.name()))?;
        let mut object = current.decode(resource)?;
        let Some(pod) = (&mut *object as &mut dyn Any).downcast_mut::<Pod>() else {
            return Err(ApiError::not_supported(resource, "bind"));
        };
        pod::bind(pod, &binding, call.now).map_err(|error| refusal(&call, error))?;
        let value = encode(&mut *object)?;
        if options.dry_run {
            return Ok(done());
        }
        let put = Transaction::new().put(key.as_str(), value, Precondition::Unchanged(current.revision));
        match shared.store.commit(put).await {
            Ok(_) => return Ok(done()),
            // Somebody else's write came first; the next look tells whether the pod is bound now.
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
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

/// Evicts a pod: a deletion that disruption budgets may refuse, of which there are none yet.
pub(super) async fn evict(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let eviction: Eviction = body::decode_other(&call, "Eviction")?;
    let name = eviction.metadata.name.as_deref().unwrap_or_default();
    if name != call.name() {
        return Err(ApiError::bad_request("name in URL does not match name in Eviction object"));
    }
    let options: DeleteOptions = eviction.delete_options.unwrap_or_default();
    let dry_run =
        options.dry_run.as_ref().is_some_and(|said| !said.is_empty()) || call.query.get("dryRun") == Some("All");
    delete::end(shared, &call.resource, &call.context(dry_run), call.name(), &options).await?;
    Ok(done())
}
