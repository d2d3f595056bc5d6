use std::collections::BTreeMap;

use http::{HeaderMap, header};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::{Bound, Claims, ISSUER, unverified};
use crate::apiserver::{ApiError, server::Shared, strategy::UserInfo};

/// Why nobody is known by a token, in the words of a TokenReview.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::apiserver) enum Refused {
    /// It is not good.
    #[error("{0}")]
    Token(String),
    /// Nobody can say at present.
    #[error("{0}")]
    Unavailable(#[from] ApiError),
}

impl Refused {
    /// Nobody knows it.
    pub(in crate::apiserver) fn unknown() -> Self {
        Self::Token("invalid bearer token".to_owned())
    }

    /// This server made it, or is said to have.
    fn because(why: impl std::fmt::Display) -> Self {
        Self::Token(format!("[invalid bearer token, {why}]"))
    }
}

/// The service account that a request acts for, if it bears a token of this server. One that says so and is not good any more, or never
/// was, is refused; with any other, or none, it is for others to say who asks.
pub(in crate::apiserver) async fn authenticate(
    shared: &Shared,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Option<UserInfo>, ApiError> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let Some(token) = bearer.map(str::trim) else { return Ok(None) };
    match review(shared, token, &[ISSUER.to_owned()], now).await {
        Ok(found) => Ok(found.map(|(user, _)| user)),
        Err(Refused::Token(_)) => Err(ApiError::unauthorized()),
        Err(Refused::Unavailable(error)) => Err(error),
    }
}

/// The service account that has a token of this server, and which of the wanted audiences it is for; `None` of other tokens.
pub(in crate::apiserver) async fn review(
    shared: &Shared,
    token: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<Option<(UserInfo, Vec<String>)>, Refused> {
    if unverified(token).is_none_or(|claims| claims.iss != ISSUER) {
        return Ok(None);
    }
    let verified = shared.signer()?.verify(token);
    let claims = verified.ok_or_else(|| Refused::because("the signature is not valid"))?;
    let seconds = now.as_second();
    if seconds >= claims.exp {
        return Err(Refused::because("service account token has expired"));
    }
    if seconds < claims.nbf {
        return Err(Refused::because("service account token is not valid yet"));
    }
    let meant: Vec<String> = audiences.iter().filter(|audience| claims.aud.contains(audience)).cloned().collect();
    if meant.is_empty() {
        let (found, wanted) = (shown(&claims.aud), shown(audiences));
        let why = format!("token audiences {found} is invalid for the target audiences {wanted}");
        return Err(Refused::because(why));
    }
    match all_there(shared, &claims).await? {
        true => Ok(Some((user(&claims), meant))),
        false => Err(Refused::because("service account token has been invalidated")),
    }
}

/// A list as Go's `%q` prints it.
fn shown(audiences: &[String]) -> String {
    let quoted: Vec<String> = audiences.iter().map(|audience| format!("{audience:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn user(claims: &Claims) -> UserInfo {
    let of = &claims.kubernetes;
    let (namespace, account) = (&of.namespace, &of.serviceaccount);
    let (pod, node) = (of.pod.as_ref(), of.node.as_ref());
    let told = [
        ("credential-id", Some(format!("JTI={}", claims.jti))),
        ("node-name", node.map(|node| node.name.clone())),
        ("node-uid", node.map(|node| node.uid.clone())),
        ("pod-name", pod.map(|pod| pod.name.clone())),
        ("pod-uid", pod.map(|pod| pod.uid.clone())),
    ];
    let told = told.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    let extra: BTreeMap<String, Vec<String>> =
        told.map(|(name, value)| (format!("authentication.kubernetes.io/{name}"), vec![value])).collect();
    UserInfo {
        name: format!("system:serviceaccount:{namespace}:{}", account.name),
        uid: account.uid.clone(),
        groups: [&groups(namespace)[..], &["system:authenticated".to_owned()]].concat(),
        extra,
    }
}

/// The groups of the service accounts of a namespace (`serviceaccount.MakeGroupNames`).
pub(in crate::apiserver) fn groups(namespace: &str) -> [String; 2] {
    ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
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
