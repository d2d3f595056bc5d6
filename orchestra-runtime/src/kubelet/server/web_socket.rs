//! WebSockets whose messages begin with the number of a channel.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::{
    FromRequestParts,
    ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{Sink, SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::PollSender;

use super::{
    Refusal,
    idle::Activity,
    spdy_upgrade::{has_token, words},
};

/// The longest message, as Go's WebSocket library takes (`DefaultMaxPayloadBytes`).
const MAX_MESSAGE: usize = 32 << 20;
/// The most bytes in a message that is sent.
const PIECE: usize = 32 << 10;
/// How many messages wait to be sent before writers wait.
const WAITING: usize = 4;
/// How long the other side may take to close the connection after it was told of the end.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade") && has_token(headers, &header::UPGRADE, "websocket")
}

/// The connection to come, and what is spoken over it of what is `known` here: the first that the client names, or `""` if it names none.
pub(super) async fn accept(
    head: &mut Parts,
    known: &[&'static str],
) -> Result<(WebSocketUpgrade, &'static str), Refusal> {
    // In the client's order, which the upgrade does not keep.
    let wanted: Vec<String> = words(&head.headers, &header::SEC_WEBSOCKET_PROTOCOL).map(str::to_owned).collect();
    let upgrade = WebSocketUpgrade::from_request_parts(head, &()).await;
    let upgrade = upgrade.map_err(|refused| Refusal::bad_request(refused.body_text()))?;
    let mut upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    if wanted.is_empty() && known.contains(&"") {
        return Ok((upgrade, ""));
    }
    let both = wanted.iter().find_map(|wanted| known.iter().find(|known| *wanted == **known));
    let protocol = *both.ok_or_else(|| Refusal::forbidden("unable to negotiate a WebSocket protocol"))?;
    upgrade.set_selected_protocol(HeaderValue::from_static(protocol));
    Ok((upgrade, protocol))
}

/// How channels are written into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// A byte, and the data.
    Binary,
    /// A digit, and the data in base64.
    Base64,
}

impl Encoding {
    pub(super) fn of(protocol: &str) -> Self {
        if protocol.contains("base64") { Self::Base64 } else { Self::Binary }
    }

    fn encode(self, channel: u8, data: &[u8]) -> Message {
        match self {
            Self::Binary => {
                let mut message = BytesMut::with_capacity(data.len() + 1);
                message.put_u8(channel);
                message.put_slice(data);
                Message::Binary(message.freeze())
            }
            Self::Base64 => Message::Text(format!("{channel}{}", BASE64_STANDARD.encode(data)).into()),
        }
    }

    /// The channel and the data of a message; `None` for one that has none, and for nonsense.
    fn decode(self, message: Message) -> Option<(u8, Bytes)> {
        let mut data = match message {
            // Clients differ in which they send.
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => return None,
        };
        if data.is_empty() {
            return None;
        }
        let channel = data.split_to(1)[0];
        match self {
            Self::Binary => Some((channel, data)),
            Self::Base64 => Some((channel.checked_sub(b'0')?, BASE64_STANDARD.decode(data).ok()?.into())),
        }
    }
}

/// Makes writers to channels.
#[derive(Clone)]
pub(super) struct Writers {
    encoding: Encoding,
    sender: mpsc::Sender<Message>,
}

impl Writers {
    /// Writers, and where their messages come out.
    pub(super) fn new(encoding: Encoding) -> (Self, mpsc::Receiver<Message>) {
        let (sender, messages) = mpsc::channel(WAITING);
        (Self { encoding, sender }, messages)
    }

    pub(super) fn channel(&self, channel: u8) -> ChannelWriter {
        ChannelWriter { channel, encoding: self.encoding, sender: PollSender::new(self.sender.clone()) }
    }

    /// Sends a message, even an empty one.
    pub(super) async fn send(&self, channel: u8, data: &[u8]) {
        // It is the connection's end that others notice too.
        let _ = self.sender.send(self.encoding.encode(channel, data)).await;
    }
}

/// Writes to a channel.
pub(super) struct ChannelWriter {
    channel: u8,
    encoding: Encoding,
    sender: PollSender<Message>,
}

impl AsyncWrite for ChannelWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let broken = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.sender.poll_reserve(cx)).map_err(broken)?;
        let data = data.get(..PIECE).unwrap_or(data);
        let message = self.encoding.encode(self.channel, data);
        self.sender.send_item(message).map_err(broken)?;
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// A channel has no end of its own.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Where what comes in goes, by channel.
pub(super) struct Inputs {
    pub(super) encoding: Encoding,
    /// Those that were not closed.
    pub(super) channels: Vec<(u8, DuplexStream)>,
    /// The channel whose messages close others (v5 of remote commands).
    pub(super) closing: Option<u8>,
}

impl Inputs {
    async fn take(&mut self, message: Message) {
        let Some((channel, data)) = self.encoding.decode(message) else { return };
        if self.closing == Some(channel) {
            let closed = data.first().copied();
            return self.channels.retain(|(channel, _)| Some(*channel) != closed);
        }
        if let Some((_, input)) = self.channels.iter_mut().find(|(other, _)| *other == channel) {
            // Its reader may have had enough.
            let _ = input.write_all(&data).await;
        }
    }
}

/// Does `work`, whose writers' messages are sent and whose inputs get what comes in, until it is done, the other side has gone, or no message
/// has gone either way for too long.
pub(super) async fn carry(
    socket: WebSocket,
    mut messages: mpsc::Receiver<Message>,
    mut inputs: Inputs,
    work: impl Future<Output = ()>,
) {
    let (mut sink, mut stream) = socket.split();
    let activity = Activity::begun();
    let receiving = async {
        while let Some(Ok(message)) = stream.next().await {
            activity.note();
            if matches!(message, Message::Close(_)) {
                // The answer goes out as the next message is waited for, which does not come.
                let _ = timeout(LINGER, stream.next()).await;
                return;
            }
            inputs.take(message).await;
        }
    };
    let mut receiving = std::pin::pin!(receiving);
    let sending = async {
        while let Some(message) = messages.recv().await {
            activity.note();
            if sink.send(message).await.is_err() {
                return;
            }
        }
        close(&mut sink).await;
    };
    tokio::select! {
        _ = futures::future::join(work, sending) => {
            // The other side answers, and hangs up.
            let _ = timeout(LINGER, receiving).await;
        }
        () = &mut receiving => {}
        () = activity.ceased() => {}
    }
}

async fn close(sink: &mut (impl Sink<Message> + Unpin)) {
    let frame = CloseFrame { code: close_code::NORMAL, reason: "".into() };
    // The other side may have hung up before.
    let _ = sink.send(Message::Close(Some(frame))).await;
}
