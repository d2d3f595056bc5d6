use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};

/// How much is kept.
const KEPT: usize = 64;

/// The first bytes that came over a connection: what they are tells people who speak another protocol there than was thought.
#[derive(Clone, Debug, Default)]
pub(super) struct Head(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    bytes: Mutex<Vec<u8>>,
    grown: Notify,
}

impl Head {
    #[cfg(feature = "containerd")]
    pub(super) fn begins_with(&self, bytes: &[u8]) -> bool {
        self.0.bytes.lock().starts_with(bytes)
    }

    /// Whether an HTTP/2 server has sent what it must send first: a frame of settings (RFC 9113, 3.4).
    pub(super) fn is_http2(&self) -> bool {
        const SETTINGS: u8 = 4;
        self.0.bytes.lock().get(..9).is_some_and(|frame| frame[3] == SETTINGS)
    }

    /// Waits until there is more. To be called by one only.
    pub(super) async fn grown(&self) {
        self.0.grown.notified().await;
    }

    /// The first line as Go quotes it.
    pub(super) fn quoted_line(&self) -> String {
        let head = self.0.bytes.lock();
        let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let escape = |byte: &u8| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(*byte)),
            b' '..=b'~' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        format!("\"{}\"", line.iter().map(escape).collect::<String>())
    }
}

/// A connection that keeps its [`Head`].
pub(super) struct Headed {
    stream: TcpStream,
    head: Head,
}

impl Headed {
    pub(super) fn new(stream: TcpStream) -> (Self, Head) {
        let head = Head::default();
        (Self { stream, head: head.clone() }, head)
    }
}

impl AsyncRead for Headed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Kept { bytes, grown } = &*self.head.0;
        let mut head = bytes.lock();
        let room = KEPT - head.len();
        if room > 0 && buffer.filled().len() > before {
            head.extend(buffer.filled()[before..].iter().take(room));
            grown.notify_one();
        }
        drop(head);
        polled
    }
}

impl AsyncWrite for Headed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_is_told() {
        let head = |bytes: &[u8]| Head(Arc::new(Kept { bytes: Mutex::new(bytes.to_vec()), ..Kept::default() }));
        assert_eq!(head(b"\x15\x03\x01\x00\x02\x02P").quoted_line(), r#""\x15\x03\x01\x00\x02\x02P""#);
        assert_eq!(head(b"SSH-2.0 \"x\"\r\nmore").quoted_line(), r#""SSH-2.0 \"x\"""#);
        assert!(head(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).is_http2());
        assert!(!head(&[0, 0, 0, 4]).is_http2() && !head(b"HTTP/1.1 400").is_http2());
        #[cfg(feature = "containerd")]
        assert!(head(b"HTTP/1.1 400").begins_with(b"HTTP/"));
    }
}
