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
    let freshness = freshness(&call.query)?;
    let found = shared.cache(&call.resource).get(&call.key(), freshness).await?;
    let stored =
        found.map(|entry| Stored::from(&*entry)).ok_or_else(|| ApiError::not_found(&call.resource, call.name()))?;
    Ok(Answer::json(200, render::object(&call.resource, &stored, &call.accept, &call.query, call.now)?))
}

fn freshness(query: &Query) -> Result<Freshness, ApiError> {
    match query.get("resourceVersion").filter(|text| !text.is_empty()) {
        None => Ok(Freshness::Latest),
        Some(text) => Ok(Freshness::NotOlderThan(parse_version(text, false)?)),
    }
}
