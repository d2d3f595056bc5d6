use http::{HeaderMap, header};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::{Bound, Claims, ISSUER, unverified};
use crate::apiserver::{ApiError, server::Shared, strategy::UserInfo};

/// The service account that a request acts for, if it bears a token of this server. One that says so and is not good any more, or never
/// was, is refused; with any other, or none, it is for others to say who asks.
pub(in crate::apiserver) async fn authenticate(
    shared: &Shared,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<UserInfo>, ApiError> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = bearer.map(str::trim) else { return Ok(None) };
    if unverified(token).is_none_or(|claims| claims.iss != ISSUER) {
        return Ok(None);
    }
    let claims = shared.signer()?.verify(token).ok_or_else(ApiError::unauthorized)?;
    let seconds = now.as_second();
    let in_time = (claims.nbf..claims.exp).contains(&seconds);
    if !in_time || !claims.aud.iter().any(|audience| audience == ISSUER) || !all_there(shared, &claims).await? {
        return Err(ApiError::unauthorized());
    }
    let (namespace, account) = (&claims.kubernetes.namespace, &claims.kubernetes.serviceaccount);
    Ok(Some(UserInfo {
        name: format!("system:serviceaccount:{namespace}:{}", account.name),
        uid: account.uid.clone(),
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ],
    }))
}

/// Whether the account and what else the token is bound to still exist.
async fn all_there(shared: &Shared, claims: &Claims) -> Result<bool, ApiError> {
    let of = &claims.kubernetes;
    let account = Some(&of.serviceaccount);
    let bound = [("serviceaccounts", account), ("pods", of.pod.as_ref()), ("secrets", of.secret.as_ref())];
    for (plural, bound) in bound {
        let Some(bound) = bound else { continue };
        if !is_there(shared, plural, Some(&of.namespace), bound).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Deserialize)]
struct HasMetadata {
    metadata: ObjectMeta,
}

async fn is_there(shared: &Shared, plural: &str, namespace: Option<&str>, bound: &Bound) -> Result<bool, ApiError> {
    let Some(resource) = shared.registry.find("", "v1", plural) else { return Ok(false) };
    let Some(stored) = shared.stored(&resource, &resource.key(namespace, &bound.name)).await? else { return Ok(false) };
    let object: HasMetadata = serde_json::from_slice(&stored.value).map_err(ApiError::internal)?;
    Ok(object.metadata.uid.as_deref() == Some(&*bound.uid))
}
