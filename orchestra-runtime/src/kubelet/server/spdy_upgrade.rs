//! From HTTP to SPDY.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use hyper::upgrade::OnUpgrade;

use super::Refusal;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");

/// Whether a request asks for SPDY.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade") && has_token(headers, &header::UPGRADE, "spdy/3.1")
}

pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    words(headers, name).any(|other| other.eq_ignore_ascii_case(token))
}

pub(super) fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The connection to come, what is spoken over it of what is `known` here, and the answer that begins it.
pub(super) fn accept(head: &mut Parts, known: &[&'static str]) -> Result<(OnUpgrade, &'static str, Response), Refusal> {
    let wanted: Vec<&str> = words(&head.headers, &PROTOCOL_VERSION).collect();
    if wanted.is_empty() {
        return Err(Refusal::bad_request("unable to upgrade: X-Stream-Protocol-Version is required"));
    }
    let both = wanted.iter().find_map(|wanted| known.iter().find(|known| *known == wanted));
    let Some(protocol) = both else {
        let why = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]",
            wanted.join(" "),
            known.join(" ")
        );
        let refusal = Refusal::forbidden(why);
        return Err(known.iter().fold(refusal, |refusal, known| refusal.with_header(ACCEPTED, known)));
    };
    let connection = head.extensions.remove::<OnUpgrade>();
    let connection = connection.ok_or_else(|| Refusal::bad_request("this connection cannot be upgraded"))?;
    let headers = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("SPDY/3.1")),
        (PROTOCOL_VERSION, HeaderValue::from_static(protocol)),
    ];
    Ok((connection, protocol, (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()))
}
