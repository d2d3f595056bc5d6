//! HTTP around the verbs: reads a request, finds its verb, writes the answer.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tower::ServiceExt;

use super::{
    ApiError,
    aggregation::AggregatedApi,
    authorization,
    connect::{self, Connect},
    discovery, impersonation,
    registry::{Registry, Resource, Subresource},
    render,
    request::{
        encoding,
        negotiate::{Accept, Encoding},
        options::Query,
        path::{self, ResourcePath},
    },
    server::Shared,
    service_account_token,
    strategy::UserInfo,
    validation::name::path_segment,
    verbs::{self, Answer, Call, Payload},
    warning, web_socket,
};

/// The most bytes of a request's body, as kube-apiserver's (`MaxRequestBodyBytes`).
pub(super) const MAX_BODY_BYTES: usize = 3 << 20;

/// The most that is read of a larger body before the answer, only to be dropped: clients that are cut off while they send learn that the
/// pipe broke, and not why.
const MAX_DROPPED_BYTES: usize = 64 << 20;

/// How long an answer must be to be compressed, as kube-apiserver's (`defaultGzipThresholdBytes`).
const COMPRESSED_FROM: usize = 128 << 10;

pub(super) async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let accept_header = header_text(request.headers(), &header::ACCEPT).map(str::to_owned);
    let accept = Accept::negotiate(accept_header.as_deref());
    let encoding = accept.as_ref().map(|accept| accept.encoding).unwrap_or_default();
    let form = Form::of(&request, encoding);
    match answer(&shared, request, accept_header.as_deref(), accept).await {
        Ok(answer) => respond(answer, form).await,
        Err(error) => {
            let mut response = respond(Answer::json(error.code(), error.to_json().into()), form).await;
            if let Some(seconds) = error.retry_after_seconds() {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            response
        }
    }
}

/// How JSON is written to a client.
#[derive(Clone, Copy)]
struct Form {
    encoding: Encoding,
    /// On many lines, for people.
    pretty: bool,
    /// Compressed, if it is long.
    gzip: bool,
}

impl Form {
    fn of(request: &Request, encoding: Encoding) -> Self {
        let query = request.uri().query().filter(|query| query.contains("pretty")).map(Query::parse);
        let pretty = match query.as_ref().and_then(|query| query.get("pretty")).filter(|said| !said.is_empty()) {
            Some(said) => matches!(said, "1" | "t" | "T" | "true" | "TRUE" | "True"),
            None => {
                let agent = header_text(request.headers(), &header::USER_AGENT).unwrap_or_default();
                ["curl", "Wget", "Mozilla/5.0"].iter().any(|people| agent.starts_with(people))
            }
        };
        let encodings = header_text(request.headers(), &header::ACCEPT_ENCODING).unwrap_or_default();
        let gzip = encodings.split(',').any(|encoding| encoding.trim() == "gzip");
        Self { encoding, pretty, gzip }
    }
}

async fn answer(
    shared: &Arc<Shared>,
    request: Request,
    accept_header: Option<&str>,
    accept: Result<Accept, ApiError>,
) -> Result<Answer, ApiError> {
    let Some(path) = path::decode(request.uri().path()) else { return Ok(Answer::text(400, "400 Bad Request")) };
    if let Some(answer) = discovery::health::respond(shared, &path, request.uri().query().unwrap_or_default()).await {
        return Ok(answer);
    }
    if let Some(found) = discovery::respond(&shared.registry, &path, request.method(), accept_header) {
        let (content_type, body) = found?;
        return Ok(Answer { content_type: Some(content_type), ..Answer::json(200, body) });
    }
    if let Some(api) = shared.registry.aggregated().into_iter().find(|api| api.serves(&path)) {
        let path = path.into_owned();
        return pass_on(shared, &api, &path, request).await;
    }
    let Some((resource, found)) = route(&shared.registry, &path) else {
        return match discovery::is_below_an_api(&shared.registry, &path) {
            true => Err(ApiError::no_such_path()),
            false => Ok(Answer::text(404, "404 page not found\n")),
        };
    };
    let connects =
        found.subresource.as_deref().and_then(Subresource::named).filter(|subresource| subresource.connects());
    let (mut head, body) = request.into_parts();
    let user = user(shared, &head).await?;
    authorization::check(shared, &user, &head.method, &found, head.uri.query().unwrap_or_default()).await?;
    let accept = accept?;
    let is_list = head.method == Method::GET && found.name.is_none();
    let namespace = match found.namespace.as_deref() {
        Some("") if is_list => None,
        Some("") => return Err(ApiError::bad_request("Namespace parameter required.")),
        _ => found.namespace,
    };
    if let Some((name, why)) = found.name.as_ref().and_then(|name| Some((name, path_segment(name)?))) {
        return Err(ApiError::bad_request(format!("Name parameter invalid: {name:?}: {why}")));
    }
    let query = Query::parse(head.uri.query().unwrap_or_default());
    if let Some(subresource) = connects.filter(|subresource| resource.has(*subresource)) {
        let name = found.name.unwrap_or_default();
        let connect = Connect { resource, subresource, namespace, name, query };
        let response = connect::serve(shared, connect, Request::from_parts(head, body)).await?;
        return Ok(Answer { payload: Payload::Whole(response), ..Answer::json(200, Bytes::new()) });
    }
    let is_watch = found.watch || query.flag("watch");
    let shows_many = found.name.is_none() && matches!(head.method, Method::GET | Method::DELETE) && !is_watch;
    render::check(&resource, &accept, &query, shows_many)?;
    let body = if head.method == Method::GET { Bytes::new() } else { read(body).await? };
    let call = Call {
        resource,
        namespace,
        name: found.name,
        query,
        accept,
        content_type: header_text(&head.headers, &header::CONTENT_TYPE).map(str::to_owned),
        body,
        user,
        now: shared.clock.now(),
    };
    let upgrade = if is_watch { web_socket::asked_for(&mut head).await? } else { None };
    let (resource, operation) = (Arc::clone(&call.resource), operation(&head.method, call.name.is_some()));
    let answer = verbs::dispatch(shared, &head.method, found.subresource.as_deref(), found.watch, call).await;
    let mut answer = answer.or_else(|error| refused(error.during(operation, &resource), &resource))?;
    answer.warnings.splice(0..0, resource.deprecation.clone());
    Ok(match (upgrade, answer) {
        (Some(upgrade), Answer { payload: Payload::Stream(body), .. }) => {
            let payload = Payload::Whole(web_socket::carry(upgrade, body, shared.stop.clone()));
            Answer { payload, ..Answer::json(101, Bytes::new()) }
        }
        (_, answer) => answer,
    })
}

/// An error about a deprecated version as an answer, which can have a warning; other errors stay what they are.
fn refused(error: ApiError, resource: &Resource) -> Result<Answer, ApiError> {
    match resource.deprecation {
        Some(_) if error.retry_after_seconds().is_none() => Ok(Answer::json(error.code(), error.to_json().into())),
        _ => Err(error),
    }
}

/// Who asks: the account whose token the request bears, or whom the authenticator finds; or whom they act as.
async fn user(shared: &Arc<Shared>, head: &Parts) -> Result<UserInfo, ApiError> {
    let user = match service_account_token::authenticate(shared, &head.headers, shared.clock.now()).await? {
        Some(user) => user,
        None => shared.authenticator.authenticate(head)?,
    };
    impersonation::acting_as(shared, user, &head.headers).await
}

/// Has another server answer.
async fn pass_on(shared: &Arc<Shared>, api: &AggregatedApi, path: &str, request: Request) -> Result<Answer, ApiError> {
    let found = path::parse(path).ok_or_else(ApiError::no_such_path)?;
    let (head, body) = request.into_parts();
    let user = user(shared, &head).await?;
    authorization::check(shared, &user, &head.method, &found, head.uri.query().unwrap_or_default()).await?;
    let answer = api.router.clone().oneshot(Request::from_parts(head, body)).await;
    let response = answer.unwrap_or_else(|never| match never {});
    Ok(Answer { payload: Payload::Whole(response), ..Answer::json(200, Bytes::new()) })
}

/// How Kubernetes' storage errors name what a request does.
fn operation(method: &Method, has_name: bool) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT | Method::PATCH => "update",
        Method::DELETE => "delete",
        _ if has_name => "get",
        _ => "list",
    }
}

/// The row that a path is about, and what the path says of its objects.
fn route(registry: &Registry, path: &str) -> Option<(Arc<Resource>, ResourcePath)> {
    let mut found = path::parse(path)?;
    if found.group.is_empty() && found.plural == "bindings" && found.name.is_none() {
        // The endpoint for bindings before pods had one of their own.
        found.plural = "pods".to_owned();
        found.subresource = Some("binding".to_owned());
    }
    let resource = registry.find(&found.group, &found.version, &found.plural)?;
    let lacks_namespace = found.namespace.is_none() && (found.name.is_some() || found.subresource.is_some());
    let fits = if resource.namespaced { !lacks_namespace } else { found.namespace.is_none() };
    fits.then_some((resource, found))
}

fn header_text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

async fn read(mut body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(&mut body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let mut rest = Limited::new(body, MAX_DROPPED_BYTES);
            while let Some(Ok(_)) = rest.frame().await {}
            Err(ApiError::too_large(format_args!("limit is {MAX_BODY_BYTES}")))
        }
        Err(error) => Err(ApiError::bad_request(format!("the body could not be read: {error}"))),
    }
}

async fn respond(answer: Answer, form: Form) -> Response {
    let Answer { code, payload, warnings, content_type } = answer;
    let mut content_type = content_type.unwrap_or("application/json");
    let is_object = content_type == "application/json";
    let mut compressed = None;
    let body = match payload {
        Payload::Whole(response) => return response,
        Payload::Stream(body) => body,
        Payload::Json(json) => {
            let text = match form.encoding {
                Encoding::Yaml if is_object => {
                    content_type = "application/yaml";
                    encoding::to_yaml(&json).map_or(json, Bytes::from)
                }
                _ if is_object && form.pretty => encoding::to_pretty(&json).into(),
                _ => json,
            };
            if form.gzip && text.len() > COMPRESSED_FROM {
                let text = text.clone();
                compressed = tokio::task::spawn_blocking(move || encoding::gzip(&text)).await.ok().flatten();
            }
            Body::from(compressed.clone().unwrap_or(text))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if code != 204 {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if compressed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    for warning in warning::headers(&warnings) {
        headers.append(header::WARNING, warning);
    }
    response
}
