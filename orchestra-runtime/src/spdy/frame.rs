//! Frames: eight bytes of head, and a body whose length the head tells.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::SpdyError;

/// Bytes of a frame's head.
pub(super) const HEAD: usize = 8;
/// The most bytes of the body of a control frame. Headers are the longest, and far shorter.
const MAX_CONTROL: usize = 256 << 10;
/// The most bytes of data that are sent in one frame, and that are read at a time.
pub(super) const MAX_DATA: usize = 32 << 10;

/// Nothing more is sent in this direction.
pub(super) const FIN: u8 = 1;
/// Status codes of RST_STREAM.
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const INVALID_STREAM: u32 = 2;
pub(super) const REFUSED_STREAM: u32 = 3;
pub(super) const CANCEL: u32 = 5;

const VERSION: u16 = 3;
const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// A frame, of data only the head: its body follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// So many bytes of a stream.
    Data { stream: u32, fin: bool, length: usize },
    /// A stream begins. Its headers are compressed.
    SynStream { stream: u32, fin: bool, headers: Vec<u8> },
    /// It was taken.
    SynReply { stream: u32, fin: bool, headers: Vec<u8> },
    /// More headers of a stream, which nobody needs, but which are part of the compressed stream.
    Headers { stream: u32, fin: bool, headers: Vec<u8> },
    /// A stream is broken off.
    Reset { stream: u32, status: u32 },
    /// To be sent back.
    Ping { id: u32 },
    /// No more streams are taken.
    GoAway,
    /// Settings, windows and whatever else nothing here depends on.
    Other,
}

impl Frame {
    /// Reads the next frame; `None` if the connection ended between two.
    pub(super) async fn read(connection: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, SpdyError> {
        let mut head = [0; HEAD];
        if connection.read(&mut head[..1]).await? == 0 {
            return Ok(None);
        }
        connection.read_exact(&mut head[1..]).await?;
        let [first, second, third, fourth, flags, length @ ..] = head;
        let [long, middle, short] = length;
        let length = u32::from_be_bytes([0, long, middle, short]) as usize;
        let fin = flags & FIN != 0;
        if first & 0x80 == 0 {
            return Ok(Some(Self::Data { stream: u32::from_be_bytes([first, second, third, fourth]), fin, length }));
        }
        if u16::from_be_bytes([first & 0x7f, second]) != VERSION {
            return Err(SpdyError::Protocol("another version"));
        }
        if length > MAX_CONTROL {
            return Err(SpdyError::Protocol("a control frame is too long"));
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await?;
        let parsed = parse(u16::from_be_bytes([third, fourth]), fin, &body);
        parsed.map(Some).ok_or(SpdyError::Protocol("a control frame is too short"))
    }

    /// The frame's bytes, of data only the head.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Data { stream, fin, length } => [&stream.to_be_bytes(), &flags(*fin, *length)[..]].concat(),
            Self::SynStream { stream, fin, headers } => {
                // No stream that it belongs to, priority and slot zero.
                control(SYN_STREAM, *fin, &[&stream.to_be_bytes(), &[0; 6], headers])
            }
            Self::SynReply { stream, fin, headers } => control(SYN_REPLY, *fin, &[&stream.to_be_bytes(), headers]),
            Self::Headers { stream, fin, headers } => control(HEADERS, *fin, &[&stream.to_be_bytes(), headers]),
            Self::Reset { stream, status } => {
                control(RST_STREAM, false, &[&stream.to_be_bytes(), &status.to_be_bytes()])
            }
            Self::Ping { id } => control(PING, false, &[&id.to_be_bytes()]),
            // The last stream that was taken, which nobody looks at, and no error.
            Self::GoAway => control(GOAWAY, false, &[&[0; 8]]),
            Self::Other => Vec::new(),
        }
    }
}

fn parse(kind: u16, fin: bool, body: &[u8]) -> Option<Frame> {
    let number = |at: usize| Some(u32::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let stream = || Some(number(0)? & 0x7fff_ffff);
    let headers = |at: usize| body.get(at..).map(<[u8]>::to_vec);
    Some(match kind {
        SYN_STREAM => Frame::SynStream { stream: stream()?, fin, headers: headers(10)? },
        SYN_REPLY => Frame::SynReply { stream: stream()?, fin, headers: headers(4)? },
        HEADERS => Frame::Headers { stream: stream()?, fin, headers: headers(4)? },
        RST_STREAM => Frame::Reset { stream: stream()?, status: number(4)? },
        PING => Frame::Ping { id: number(0)? },
        GOAWAY => Frame::GoAway,
        _ => Frame::Other,
    })
}

fn control(kind: u16, fin: bool, body: &[&[u8]]) -> Vec<u8> {
    let length = body.iter().map(|part| part.len()).sum();
    let head = [&(VERSION | 0x8000).to_be_bytes()[..], &kind.to_be_bytes(), &flags(fin, length)].concat();
    [head, body.concat()].concat()
}

/// The second half of a head.
fn flags(fin: bool, length: usize) -> [u8; 4] {
    let [_, long, middle, short] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [u8::from(fin) * FIN, long, middle, short]
}

#[cfg(test)]
mod tests {
    use orchestra_core::random::Generator;

    use super::*;

    #[tokio::test]
    async fn frames_are_read_as_they_were_written() {
        let all = [
            Frame::SynStream { stream: 1, fin: false, headers: vec![1, 2, 3] },
            Frame::SynReply { stream: 1, fin: true, headers: vec![] },
            Frame::Headers { stream: 3, fin: false, headers: vec![9] },
            Frame::Reset { stream: 0x7fff_ffff, status: CANCEL },
            Frame::Ping { id: 7 },
            Frame::GoAway,
            Frame::Data { stream: 5, fin: true, length: 0 },
        ];
        let bytes: Vec<u8> = all.iter().flat_map(Frame::encode).collect();
        let mut rest = bytes.as_slice();
        for frame in all {
            assert_eq!(Frame::read(&mut rest).await.unwrap(), Some(frame));
        }
        assert_eq!(Frame::read(&mut rest).await.unwrap(), None);
    }

    #[test]
    fn a_syn_stream_looks_as_in_the_draft() {
        let bytes = Frame::SynStream { stream: 1, fin: true, headers: vec![0xaa] }.encode();
        assert_eq!(bytes, [0x80, 3, 0, 1, 1, 0, 0, 11, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xaa]);
    }

    #[tokio::test]
    async fn arbitrary_bytes_are_frames_or_an_error() {
        let generator = Generator::seeded(1);
        for _ in 0..2_000 {
            let length = generator.below(64);
            let mut bytes: Vec<u8> = (0..length).map(|_| generator.below(256) as u8).collect();
            // Every other is a control frame of the right version.
            if generator.below(2) == 0 && bytes.len() > 8 {
                bytes[..7].copy_from_slice(&[0x80, 3, 0, generator.below(10) as u8, 0, 0, 0]);
            }
            let mut rest = bytes.as_slice();
            while let Ok(Some(_)) = Frame::read(&mut rest).await {}
        }
    }
}
