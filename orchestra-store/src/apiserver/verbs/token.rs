//! The subresource `token` of service accounts (`pkg/registry/core/serviceaccount/storage/token.go`).

use std::any::Any;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{Answer, Call, Stored, body};
use crate::apiserver::{
    ApiError,
    field::{self, Path},
    object::Object,
    server::Shared,
    service_account_token::{Bound, Claims, ISSUER, Kubernetes},
};

const DEFAULT_SECONDS: i64 = 3600;
const SECONDS: std::ops::RangeInclusive<i64> = 600..=1 << 32;
/// What kubelets ask for. Old clients read such a token only once: it holds for a year, and is expected to be replaced in time.
const ONCE_READ_SECONDS: i64 = 3607;
const YEAR_SECONDS: i64 = 365 * 24 * 3600;

/// Makes a token for a service account.
pub(super) async fn create(shared: &Shared, call: Call) -> Result<Answer, ApiError> {
    let mut request: TokenRequest = body::decode_other(&call, "TokenRequest")?;
    let name = request.metadata.name.as_deref().unwrap_or_default();
    if !name.is_empty() && name != call.name() {
        return Err(ApiError::other_name(name, call.name()));
    }
    let account = shared.stored(&call.resource, &call.key()).await?;
    let account = account.ok_or_else(|| ApiError::not_found(&call.resource, call.name()))?.decode(&call.resource)?;
    let mut spec = request.spec.take().unwrap_or_default();
    let seconds = *spec.expiration_seconds.get_or_insert(DEFAULT_SECONDS);
    check(&call, seconds)?;
    if spec.audiences.as_ref().is_none_or(Vec::is_empty) {
        spec.audiences = Some(vec![ISSUER.to_owned()]);
    }
    let of = Kubernetes {
        namespace: call.namespace.clone().unwrap_or_default(),
        serviceaccount: bound(&*account),
        ..Kubernetes::default()
    };
    let of = bind(shared, &call, spec.bound_object_ref.as_ref(), of).await?;
    let claims = claims(shared, &call, &spec, of, seconds);
    let token = shared.signer()?.sign(&claims).map_err(ApiError::internal)?;
    request.status = Some(TokenRequestStatus {
        token: Some(token),
        expiration_timestamp: Some(Time(whole(after(call.now, seconds)))),
    });
    request.metadata.name = Some(call.name().to_owned());
    request.metadata.namespace.clone_from(&call.namespace);
    request.metadata.creation_timestamp = Some(Time(whole(call.now)));
    request.spec = Some(spec);
    Ok(Answer::json(201, serde_json::to_vec(&request).map_err(ApiError::internal)?.into()))
}

fn check(call: &Call, seconds: i64) -> Result<(), ApiError> {
    let why = match seconds {
        _ if SECONDS.contains(&seconds) => return Ok(()),
        _ if seconds < *SECONDS.start() => "may not specify a duration less than 10 minutes",
        _ => "may not specify a duration larger than 2^32 seconds",
    };
    let error = field::Error::invalid(&Path::new("spec").child("expirationSeconds"), seconds, why);
    Err(ApiError::invalid_kind("authentication.k8s.io", "TokenRequest", call.name(), &[error]))
}

fn claims(shared: &Shared, call: &Call, spec: &TokenRequestSpec, mut of: Kubernetes, seconds: i64) -> Claims {
    let (now, audiences) = (call.now.as_second(), spec.audiences.clone().unwrap_or_default());
    let mut life = seconds;
    if seconds == ONCE_READ_SECONDS && audiences == [ISSUER] {
        of.warnafter = Some(now + seconds);
        life = YEAR_SECONDS;
    }
    Claims {
        aud: audiences,
        exp: now + life,
        iat: now,
        iss: ISSUER.to_owned(),
        jti: shared.generator.uid(),
        nbf: now,
        sub: format!("system:serviceaccount:{}:{}", of.namespace, of.serviceaccount.name),
        kubernetes: of,
    }
}

/// Binds a token to an object of the account's namespace, or to a node.
async fn bind(
    shared: &Shared,
    call: &Call,
    reference: Option<&BoundObjectReference>,
    mut of: Kubernetes,
) -> Result<Kubernetes, ApiError> {
    let Some(reference) = reference else { return Ok(of) };
    let version = reference.api_version.as_deref().unwrap_or_default();
    let kind = reference.kind.as_deref().unwrap_or_default();
    let (plural, namespace) = match (version, kind) {
        ("v1", "Pod") => ("pods", call.namespace.as_deref()),
        ("v1", "Secret") => ("secrets", call.namespace.as_deref()),
        ("v1", "Node") => ("nodes", None),
        _ => {
            let message = format!("cannot bind token for serviceaccount to object of type {version}, Kind={kind}");
            return Err(ApiError::bad_request(message));
        }
    };
    let (object, found) = existing(shared, call, reference, plural, namespace).await?;
    match kind {
        "Pod" => {
            let pod = (&*object as &dyn Any).downcast_ref::<Pod>().and_then(|pod| pod.spec.as_ref());
            let account = pod.and_then(|spec| spec.service_account_name.as_deref()).unwrap_or_default();
            if account != call.name() {
                return Err(ApiError::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    call.name()
                )));
            }
            let node = pod.and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty());
            of.node = node.map(|name| Bound { name, uid: String::new() });
            of.pod = Some(found);
        }
        "Secret" => of.secret = Some(found),
        _ => of.node = Some(found),
    }
    Ok(of)
}

/// The object that a token is to be bound to, if it is the one that is meant.
async fn existing(
    shared: &Shared,
    call: &Call,
    reference: &BoundObjectReference,
    plural: &str,
    namespace: Option<&str>,
) -> Result<(Box<dyn Object>, Bound), ApiError> {
    let resource = shared.registry.find("", "v1", plural).ok_or_else(ApiError::no_such_path)?;
    let name = reference.name.as_deref().unwrap_or_default();
    let stored: Option<Stored> = shared.stored(&resource, &resource.key(namespace, name)).await?;
    let object = stored.ok_or_else(|| ApiError::not_found(&resource, name))?.decode(&resource)?;
    let found = bound(&*object);
    match reference.uid.as_deref() {
        Some(uid) if !uid.is_empty() && uid != found.uid => {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have \
                 been deleted and then recreated"
            );
            Err(ApiError::conflict(&call.resource, name, &why))
        }
        _ => Ok((object, found)),
    }
}

fn bound(object: &dyn Object) -> Bound {
    let metadata = object.metadata();
    Bound { name: metadata.name.clone().unwrap_or_default(), uid: metadata.uid.clone().unwrap_or_default() }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// The API's times have no fractions of a second.
fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
