//! Watches over WebSocket (`HandleWS` in `apiserver/pkg/endpoints/handlers/watch.go`): each event is a text message. Browsers ask
//! so.

use axum::{
    body::Body,
    extract::{
        FromRequestParts,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, header, request::Parts};
use tokio_util::sync::CancellationToken;

use super::ApiError;

/// The connection to go on with, if the client asks for WebSocket.
pub(super) async fn asked_for(head: &mut Parts) -> Result<Option<WebSocketUpgrade>, ApiError> {
    if !(has_token(&head.headers, header::CONNECTION, "upgrade")
        && has_token(&head.headers, header::UPGRADE, "websocket"))
    {
        return Ok(None);
    }
    let upgrade = WebSocketUpgrade::from_request_parts(head, &()).await;
    upgrade.map(Some).map_err(|refused| ApiError::bad_request(refused.body_text()))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|other| other.trim().eq_ignore_ascii_case(token))
}

/// Sends each piece of `body` as a message until one side has enough, or until `stop`.
pub(super) fn carry(upgrade: WebSocketUpgrade, body: Body, stop: CancellationToken) -> Response {
    upgrade.on_upgrade(async move |socket| {
        // A client that does not read would hold up the end of the server.
        stop.run_until_cancelled(send(socket, body.into_data_stream())).await;
    })
}

async fn send(mut socket: WebSocket, mut frames: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin) {
    loop {
        let frame = tokio::select! {
            biased;
            heard = socket.recv() => match heard {
                // What a client says is not listened to.
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            },
            frame = frames.next() => frame,
        };
        let Some(text) = frame.and_then(Result::ok).and_then(|frame| Utf8Bytes::try_from(frame).ok()) else { break };
        if socket.send(Message::Text(text)).await.is_err() {
            return;
        }
    }
    // The client learns that it was the end from this, or from the connection's.
    let _ = socket.send(Message::Close(None)).await;
}
