use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// Why a kubelet does not do what it was asked for: a code and a text.
#[derive(Debug)]
pub(super) struct Refusal {
    code: StatusCode,
    text: String,
    headers: Vec<(HeaderName, &'static str)>,
}

impl Refusal {
    fn new(code: StatusCode, text: impl fmt::Display) -> Self {
        Self { code, text: text.to_string(), headers: Vec::new() }
    }

    pub(super) fn bad_request(text: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized")
    }

    pub(super) fn forbidden(text: impl fmt::Display) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(super) fn not_found(text: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    pub(super) fn internal(text: impl fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    /// Adds a header of the answer.
    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = self.headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
        (self.code, headers.collect::<HeaderMap>(), self.text).into_response()
    }
}
