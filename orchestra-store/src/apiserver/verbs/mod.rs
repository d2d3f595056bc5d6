//! The verbs, written once for all kinds: a [`Call`] in, an [`Answer`] out.

mod body;
mod commit;
pub(super) mod create;
mod delete;
mod draws;
mod eviction;
mod get;
mod list;
mod pods;
mod review;
mod scale;
mod token;
mod update;
mod watch;

pub(super) use self::review::Answers;

use std::sync::Arc;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use orchestra_core::store::Revision;

use super::{
    ApiError,
    object::Object,
    registry::{Resource, Subresource},
    request::{negotiate::Accept, options::Query},
    server::Shared,
    strategy::{RequestContext, UserInfo},
};
use crate::cache::Entry;

/// A request to a resource.
pub(super) struct Call {
    pub(super) resource: Arc<Resource>,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) query: Query,
    pub(super) accept: Accept,
    pub(super) content_type: Option<String>,
    pub(super) body: Bytes,
    pub(super) user: UserInfo,
    pub(super) now: Timestamp,
}

impl Call {
    /// What strategies may know.
    fn context(&self, dry_run: bool) -> RequestContext {
        RequestContext { namespace: self.namespace.clone(), now: self.now, user: self.user.clone(), dry_run }
    }

    /// The name in the path; empty where the path has none.
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The store's key of the object that the path names.
    fn key(&self) -> String {
        self.resource.key(self.namespace.as_deref(), self.name())
    }
}

/// What to answer.
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) payload: Payload,
    pub(super) warnings: Vec<String>,
    /// `application/json` where nothing is said.
    pub(super) content_type: Option<&'static str>,
}

/// The body of an answer.
pub(super) enum Payload {
    Json(Bytes),
    Stream(Body),
    /// The whole answer: somebody else's, or one after which the connection speaks another protocol.
    Whole(Response),
}

impl Answer {
    pub(super) fn json(code: u16, json: Bytes) -> Self {
        Self { code, payload: Payload::Json(json), warnings: Vec::new(), content_type: None }
    }

    /// What is answered where no API is.
    pub(super) fn text(code: u16, text: impl Into<Bytes>) -> Self {
        let content_type = Some("text/plain; charset=utf-8");
        Self { content_type, ..Self::json(code, text.into()) }
    }

    fn with_warnings(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }
}

/// An object as the store has it.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its JSON, without the version.
    pub(super) value: Bytes,
    /// The revision of its last change: its `resourceVersion`.
    pub(super) revision: Revision,
}

impl From<&Entry> for Stored {
    fn from(entry: &Entry) -> Self {
        Self { value: entry.value.clone(), revision: entry.revision }
    }
}

impl Stored {
    /// The decoded object, with its `resourceVersion`.
    pub(super) fn decode(&self, resource: &Resource) -> Result<Box<dyn Object>, ApiError> {
        let mut object = resource.rules.decode_stored(&self.value).map_err(|error| {
            ApiError::internal(format!("stored {} cannot be decoded: {error}", resource.qualified()))
        })?;
        object.metadata_mut().resource_version = Some(self.revision.to_string());
        Ok(object)
    }
}

/// The stored form of an object: its JSON without the version.
fn encode(object: &mut dyn Object) -> Result<Bytes, ApiError> {
    object.metadata_mut().resource_version = None;
    let mut json = Vec::with_capacity(4096);
    object.encode(&mut json).map_err(ApiError::internal)?;
    // It may be kept for long: without what the buffer has left.
    Ok(json.into_boxed_slice().into())
}

/// Finds the verb of a request and runs it.
pub(super) async fn dispatch(
    shared: &Arc<Shared>,
    method: &Method,
    subresource: Option<&str>,
    watch: bool,
    call: Call,
) -> Result<Answer, ApiError> {
    if let Some(subresource) = subresource {
        let known = Subresource::named(subresource).filter(|subresource| call.resource.has(*subresource));
        let subresource = known.ok_or_else(ApiError::no_such_path)?;
        return on_subresource(shared, method, subresource, call).await;
    }
    if let Some(answers) = call.resource.answers.clone() {
        return review::dispatch(shared, method, &*answers, call).await;
    }
    // Each is only served where its path is: objects of a namespaced kind are neither created nor deleted without one.
    let scoped = call.namespace.is_some() || !call.resource.namespaced;
    match (method, call.name.is_some()) {
        (&Method::GET, _) if watch || call.query.flag("watch") => watch::watch(shared, call).await,
        _ if watch => Err(ApiError::method_not_allowed()),
        (&Method::GET, true) => get::get(shared, call).await,
        (&Method::GET, false) => list::list(shared, call).await,
        (&Method::POST, false) if scoped => create::create(shared, call).await,
        (&Method::PUT, true) => update::put(shared, call, update::Part::Object).await,
        (&Method::PATCH, true) => update::patch(shared, call, update::Part::Object).await,
        (&Method::DELETE, true) => delete::delete(shared, call).await,
        (&Method::DELETE, false) if scoped && call.resource.deletes_collections() => {
            delete::delete_collection(shared, call).await
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

async fn on_subresource(
    shared: &Arc<Shared>,
    method: &Method,
    subresource: Subresource,
    call: Call,
) -> Result<Answer, ApiError> {
    match (subresource, method) {
        (Subresource::Status, &Method::GET) => get::get(shared, call).await,
        (Subresource::Status, &Method::PUT) => update::put(shared, call, update::Part::Status).await,
        (Subresource::Status, &Method::PATCH) => update::patch(shared, call, update::Part::Status).await,
        (Subresource::Finalize, &Method::PUT) => update::put(shared, call, update::Part::Finalizers).await,
        (Subresource::EphemeralContainers | Subresource::Resize, &Method::GET) => get::get(shared, call).await,
        (Subresource::EphemeralContainers | Subresource::Resize, &Method::PUT) => {
            update::put(shared, call, update::Part::Other(subresource)).await
        }
        (Subresource::EphemeralContainers | Subresource::Resize, &Method::PATCH) => {
            update::patch(shared, call, update::Part::Other(subresource)).await
        }
        (Subresource::Scale, &Method::GET) => scale::get(shared, call).await,
        (Subresource::Scale, &Method::PUT) => scale::put(shared, call).await,
        (Subresource::Scale, &Method::PATCH) => scale::patch(shared, call).await,
        (Subresource::Binding, &Method::POST) => pods::bind(shared, call).await,
        (Subresource::Eviction, &Method::POST) => eviction::create(shared, call).await,
        (Subresource::Token, &Method::POST) => token::create(shared, call).await,
        _ => Err(ApiError::method_not_allowed()),
    }
}
