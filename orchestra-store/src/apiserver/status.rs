//! Errors as API clients see them: [`ApiError`], a `metav1.Status` with Kubernetes' reason, words and code.

use std::{collections::HashSet, fmt};

use orchestra_core::store::StoreError;
use serde::Serialize;

use super::{field, registry::Resource};
use crate::cache::CacheError;

/// The `reason` of a failure (`metav1.StatusReason`), each with its HTTP code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub enum Reason {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Expired,
    Invalid,
    Timeout,
    ServerTimeout,
    InternalError,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    TooManyRequests,
    ServiceUnavailable,
}

impl Reason {
    /// The HTTP status code.
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Gone | Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError | Self::ServerTimeout => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// One of several causes of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// What kind of cause.
    pub reason: String,
    /// The cause in words.
    pub message: String,
    /// The field that is to blame.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// What a failure or a deletion is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The object's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The resource, or for some failures the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The object's uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// When the client may try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// A request that failed, as its `Status` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    inner: Box<Inner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    reason: Option<Reason>,
    code: u16,
    message: String,
    details: Option<Details>,
    /// With what a list may go on that cannot go on as it was.
    continue_token: Option<String>,
}

impl std::error::Error for ApiError {}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl ApiError {
    fn new(reason: Reason, message: impl Into<String>, details: Option<Details>) -> Self {
        let message = message.into();
        let inner = Inner { reason: Some(reason), code: reason.code(), message, details, continue_token: None };
        Self { inner: Box::new(inner) }
    }

    /// The reason, if the failure has one.
    pub fn reason(&self) -> Option<Reason> {
        self.inner.reason
    }

    /// The HTTP code.
    pub fn code(&self) -> u16 {
        self.inner.code
    }

    /// The details, where there are some.
    pub fn details(&self) -> Option<&Details> {
        self.inner.details.as_ref()
    }

    /// A request that makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(Reason::BadRequest, message, None)
    }

    /// An object whose name is not the one in the path.
    pub fn other_name(name: &str, in_path: &str) -> Self {
        Self::bad_request(format!("the name of the object ({name}) does not match the name on the URL ({in_path})"))
    }

    /// An object that does not exist.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} not found", resource.qualified());
        Self::new(Reason::NotFound, message, Some(resource.details(name)))
    }

    /// What another server does not have that a subresource leads to (`NewGenericServerResponse`).
    pub(super) fn of_upstream(subresource: super::registry::Subresource, name: &str) -> Self {
        let kind = format!("pods/{}", subresource.name());
        let message = format!("the server could not find the requested resource ( {kind} {name})");
        let details = Details { name: name.to_owned(), kind, ..Details::default() };
        Self::new(Reason::NotFound, message, Some(details))
    }

    /// What nobody is there to answer.
    pub(super) fn nobody_serves(message: impl Into<String>) -> Self {
        Self::new(Reason::ServiceUnavailable, message, None)
    }

    /// A path that leads nowhere.
    pub fn no_such_path() -> Self {
        Self::new(Reason::NotFound, "the server could not find the requested resource", Some(Details::default()))
    }

    /// An object that exists already.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", resource.qualified());
        Self::new(Reason::AlreadyExists, message, Some(resource.details(name)))
    }

    /// A write that came too late.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", resource.qualified());
        Self::new(Reason::Conflict, message, Some(resource.details(name)))
    }

    /// A conflict with what a client remembers of the object.
    pub fn modified(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// A precondition of a deletion that does not hold; it names the kind where others name the resource.
    pub fn precondition_failed(resource: &Resource, name: &str, why: &str) -> Self {
        let kind = resource.qualified_kind();
        let message = format!("Operation cannot be fulfilled on {kind} {name:?}: {why}");
        Self::new(Reason::Conflict, message, Some(resource.kind_details(name)))
    }

    /// Nobody is known who asks so.
    pub fn unauthorized() -> Self {
        Self::new(Reason::Unauthorized, "Unauthorized", None)
    }

    /// Something that is not allowed.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        Self::denied(&resource.qualified(), name, why, resource.details(name))
    }

    /// As [`forbidden`](Self::forbidden), of what may be no row of the table.
    pub(super) fn denied(qualified: &str, name: &str, why: &str, details: Details) -> Self {
        let message = match name {
            "" => format!("{qualified} is forbidden: {why}"),
            _ => format!("{qualified} {name:?} is forbidden: {why}"),
        };
        Self::new(Reason::Forbidden, message, Some(details))
    }

    /// Adds a cause.
    #[must_use]
    pub fn with_cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        let cause = Cause { reason: reason.to_owned(), message: message.into(), field: field.to_owned() };
        self.inner.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// An object with fields that are wrong. `errors` is not empty.
    pub fn invalid(resource: &Resource, name: &str, errors: &[field::Error]) -> Self {
        Self::invalid_kind(&resource.group, &resource.kind, name, errors)
    }

    /// As [`invalid`](Self::invalid), for an object that is no resource of its own: options, a Scale.
    pub fn invalid_kind(group: &str, kind: &str, name: &str, errors: &[field::Error]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        // Kubernetes tells an error once however often it was found, but lists a cause for each time.
        let mut told = HashSet::new();
        let texts = errors.iter().map(ToString::to_string).filter(|text| told.insert(text.clone()));
        let texts: Vec<String> = texts.collect();
        let causes = errors.iter().map(|error| Cause {
            reason: error.kind.reason().to_owned(),
            message: error.body.clone(),
            field: error.field.to_string(),
        });
        let details = Details {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes: causes.collect(),
            ..Details::default()
        };
        let errors = if texts.len() == 1 { texts.concat() } else { format!("[{}]", texts.join(", ")) };
        Self::new(Reason::Invalid, format!("{qualified} {name:?} is invalid: {errors}"), Some(details))
    }

    /// A request that the server rejects without saying more, as Kubernetes does for JSON patches that do not apply.
    pub fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self::new(Reason::Invalid, message, Some(Details::default()))
    }

    /// A method that the resource does not have.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(Reason::MethodNotAllowed, message, Some(Details::default()))
    }

    /// A method that the resource does not have, known by its name.
    pub fn not_supported(resource: &Resource, verb: &str) -> Self {
        let message = format!("{verb} is not supported on resources of kind {:?}", resource.qualified());
        Self::new(Reason::MethodNotAllowed, message, Some(resource.details("")))
    }

    /// A body in a format that is not understood.
    pub fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(Reason::UnsupportedMediaType, message, None)
    }

    /// A patch of a kind that is not understood.
    pub fn unsupported_patch(message: &str) -> Self {
        Self::new(Reason::UnsupportedMediaType, message, Some(Details::default()))
    }

    /// An answer that cannot be given in a format that the client accepts.
    pub fn not_acceptable(available: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {available}");
        Self::new(Reason::NotAcceptable, message, Some(Details::default()))
    }

    /// An answer that cannot be given as the client wants it.
    pub fn unacceptable(message: impl Into<String>) -> Self {
        Self::new(Reason::NotAcceptable, message, None)
    }

    /// A body that is too large; `what` says which bound it exceeds.
    pub fn too_large(what: impl fmt::Display) -> Self {
        Self::new(Reason::RequestEntityTooLarge, format!("Request entity too large: {what}"), None)
    }

    /// A resourceVersion that the server has not reached.
    pub fn version_too_large(requested: u64, current: u64) -> Self {
        let details = Details { retry_after_seconds: Some(1), ..Details::default() };
        let message = format!("Timeout: Too large resource version: {requested}, current: {current}");
        Self::new(Reason::Timeout, message, Some(details)).with_cause(
            "ResourceVersionTooLarge",
            "Too large resource version",
            "",
        )
    }

    /// A list or watch from a revision that is no longer kept.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(Reason::Expired, message, None)
    }

    /// The rest of a list, whose state is no longer kept; with `continue_token` the client may have the rest of the latest state.
    pub(super) fn expired_page(continue_token: String) -> Self {
        let mut error = Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        );
        error.inner.continue_token = Some(continue_token);
        error
    }

    /// A failure that is the server's fault.
    pub fn internal(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        let details = Details::default();
        Self::new(Reason::InternalError, format!("Internal error occurred: {message}"), Some(details))
            .with_cause("", message, "")
    }

    /// A failure with a code but no reason, as Kubernetes answers some malformed requests.
    pub fn unclassified(code: u16, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner { reason: None, code, message: message.into(), details: None, continue_token: None }),
        }
    }

    /// A part that does not exist here; `message` names it.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::unclassified(501, message)
    }

    /// The store does not answer. [`during`](Self::during) says it in Kubernetes' words.
    pub fn unreachable_store(why: impl fmt::Display) -> Self {
        let details = Details { retry_after_seconds: Some(2), ..Details::default() };
        Self::new(Reason::ServerTimeout, format!("the store is not available: {why}"), Some(details))
    }

    /// What a client is told of an operation whose store does not answer: `NewServerTimeout` in Kubernetes. Other errors
    /// stay what they are.
    #[must_use]
    pub fn during(self, operation: &str, resource: &Resource) -> Self {
        if self.reason() != Some(Reason::ServerTimeout) {
            return self;
        }
        let qualified = resource.qualified();
        let message = format!(
            "The {operation} operation against {qualified} could not be completed at this time, please try again."
        );
        let details = Details { retry_after_seconds: self.retry_after_seconds(), ..resource.details(operation) };
        Self::new(Reason::ServerTimeout, message, Some(details))
    }

    /// A write that may or may not have been done. Nothing is said of trying again, which may do it twice.
    pub fn unknown_outcome(why: impl fmt::Display) -> Self {
        Self::new(Reason::Timeout, format!("Timeout: {why}"), Some(Details::default()))
    }

    /// Something that is refused for now; `seconds` after which it may be asked for again, where that is known.
    pub fn too_many_requests(message: impl Into<String>, seconds: Option<u32>) -> Self {
        let details = Details { retry_after_seconds: seconds, ..Details::default() };
        Self::new(Reason::TooManyRequests, message, Some(details))
    }

    /// What did not come to its end in time, and may be asked for again after `seconds`.
    pub fn timeout(why: impl fmt::Display, seconds: u32) -> Self {
        let details = Details { retry_after_seconds: Some(seconds), ..Details::default() };
        Self::new(Reason::Timeout, format!("Timeout: {why}"), Some(details))
    }

    /// The server cannot answer now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        let details = Details { retry_after_seconds: Some(1), ..Details::default() };
        Self::new(Reason::ServiceUnavailable, message, Some(details))
    }

    /// After how many seconds a client may try again, if that may help.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.inner.details.as_ref()?.retry_after_seconds
    }

    /// The `Status` as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let Inner { reason, code, message, details, continue_token } = &*self.inner;
        let status = Status {
            metadata: Metadata { continue_token: continue_token.as_deref() },
            status: "Failure",
            message,
            reason: *reason,
            details: details.as_ref(),
            code: Some(*code),
        };
        status.to_json()
    }
}

/// Its `metav1.ListMeta`.
#[derive(Default, Serialize)]
struct Metadata<'a> {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    continue_token: Option<&'a str>,
}

/// The JSON form of a `metav1.Status`.
#[derive(Serialize)]
struct Status<'a> {
    metadata: Metadata<'a>,
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

impl Status<'_> {
    fn to_json(&self) -> Vec<u8> {
        let mut json = br#"{"kind":"Status","apiVersion":"v1","#.to_vec();
        let fields = serde_json::to_vec(self).unwrap_or_default();
        json.extend_from_slice(fields.get(1..).unwrap_or(b"}"));
        json
    }
}

/// The `Status` of a success: of a deletion with `details`, of a binding with a code.
pub fn success(details: Option<&Details>, code: Option<u16>) -> Vec<u8> {
    Status { metadata: Metadata::default(), status: "Success", message: "", reason: None, details, code }.to_json()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Compacted { .. } => Self::expired("The resourceVersion for the provided list is too old."),
            StoreError::FutureRevision { requested, current } => Self::version_too_large(requested, current),
            StoreError::Unavailable(why) => Self::unreachable_store(why),
            error @ StoreError::OutcomeUnknown(_) => Self::unknown_outcome(error),
            other => Self::internal(other),
        }
    }
}

impl From<CacheError> for ApiError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::TooNew { requested, current } => Self::version_too_large(requested, current),
            CacheError::Expired { requested, oldest } => {
                Self::expired(format!("too old resource version: {requested} ({oldest})"))
            }
            CacheError::Store(error) => error.into(),
        }
    }
}
