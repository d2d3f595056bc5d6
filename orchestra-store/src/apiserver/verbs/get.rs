use orchestra_core::store::Revision;

use super::{Answer, Call, Stored};
use crate::{
    apiserver::{
        ApiError, render,
        request::options::{Query, parse_version},
        server::Shared,
    },
    cache::Freshness,
};

/// Answers with one object: the newest, or with `resourceVersion` one that is at least so new.
pub(super) async fn get(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let key = call.key();
    let stored = match version(&call.query)? {
        None => shared.stored(&key).await?,
        Some(revision) => {
            let snapshot = shared.cache(&call.resource).read(Freshness::NotOlderThan(revision)).await?;
            snapshot.get(&key).map(|entry| Stored { value: entry.value.clone(), revision: entry.revision })
        }
    };
    let stored = stored.ok_or_else(|| ApiError::not_found(&call.resource, call.name()))?;
    Ok(Answer::json(200, render::object(&call.resource, &stored, &call.accept, &call.query, call.now)?))
}

fn version(query: &Query) -> Result<Option<Revision>, ApiError> {
    let said = query.get("resourceVersion").filter(|text| !text.is_empty());
    said.map(|text| parse_version(text, false)).transpose()
}
