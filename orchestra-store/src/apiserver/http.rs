//! HTTP around the verbs: reads a request, finds its verb, writes the answer.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    ApiError, discovery,
    request::{
        negotiate::{self, Accept, Encoding},
        options::Query,
        path,
    },
    server::Shared,
    verbs::{self, Answer, Call, Payload},
};

/// The most bytes of a request's body, as kube-apiserver's (`MaxRequestBodyBytes`).
pub(super) const MAX_BODY_BYTES: usize = 3 << 20;

pub(super) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let accept = header_text(request.headers(), &header::ACCEPT).map(str::to_owned);
    let encoding = Accept::negotiate(accept.as_deref()).map(|accept| accept.encoding).unwrap_or_default();
    match answer(&shared, request, accept.as_deref()).await {
        Ok(answer) => respond(answer, encoding),
        Err(error) => {
            let mut response = respond(Answer::json(error.code(), error.to_json().into()), encoding);
            if let Some(seconds) = error.retry_after_seconds() {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

async fn answer(shared: &Arc<Shared>, request: Request, accept: Option<&str>) -> Result<Answer, ApiError> {
    if let Some(found) = discovery::respond(&shared.registry, request.uri(), request.method(), accept) {
        let (content_type, body) = found?;
        return Ok(Answer { content_type: Some(content_type), ..Answer::json(200, body) });
    }
    let found = path::parse(request.uri().path()).ok_or_else(ApiError::no_such_path)?;
    let resource = shared.registry.find(&found.group, &found.version, &found.plural);
    let resource = resource.ok_or_else(ApiError::no_such_path)?;
    if found.namespace.is_some() && !resource.namespaced
        || found.namespace.is_none() && resource.namespaced && found.name.is_some()
    {
        return Err(ApiError::no_such_path());
    }
    let (head, body) = request.into_parts();
    let user = shared.authenticator.authenticate(&head)?;
    let accept = Accept::negotiate(accept)?;
    let body = if head.method == Method::GET { Bytes::new() } else { read(body).await? };
    let call = Call {
        resource,
        namespace: found.namespace,
        name: found.name,
        query: Query::parse(head.uri.query().unwrap_or_default()),
        accept,
        content_type: header_text(&head.headers, &header::CONTENT_TYPE).map(str::to_owned),
        body,
        user,
        now: shared.clock.now(),
    };
    verbs::dispatch(shared, &head.method, found.subresource.as_deref(), found.watch, call).await
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(MAX_BODY_BYTES)),
        Err(error) => Err(ApiError::bad_request(format!("the body could not be read: {error}"))),
    }
}

fn respond(answer: Answer, encoding: Encoding) -> Response {
    let Answer { code, payload, warnings, content_type } = answer;
    let mut content_type = content_type.unwrap_or("application/json");
    let body = match payload {
        Payload::Empty => Body::empty(),
        Payload::Stream(body) => body,
        Payload::Json(json) if encoding == Encoding::Yaml && content_type == "application/json" => {
            content_type = "application/yaml";
            Body::from(negotiate::to_yaml(&json).unwrap_or_else(|| json.to_vec()))
        }
        Payload::Json(json) => Body::from(json),
    };
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if code != 204 {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    for warning in warnings {
        // RFC 7234's warn-text is a quoted string; 299 is a miscellaneous persistent warning.
        let escaped = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{escaped}\"")) {
            headers.append(header::WARNING, value);
        }
    }
    response
}
