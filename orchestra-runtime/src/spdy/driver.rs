//! What moves frames between a connection and the streams.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, ReadHalf, WriteHalf},
    sync::mpsc,
    time::sleep,
};
use tracing::debug;

use super::{
    Headers, SpdyError,
    frame::{Frame, INVALID_STREAM, MAX_DATA, PROTOCOL_ERROR, REFUSED_STREAM},
    header_block::{Packer, Unpacker},
    session::{Offer, Shared},
};

/// How long the other side may take to hang up after it was told that the session has ended. A connection that is closed before all that it
/// sent was read would be reset, and with it what it has not yet read.
const LINGER: Duration = Duration::from_secs(5);

/// Which side it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

impl Role {
    /// The client's streams have odd numbers.
    pub(super) fn first_stream(self) -> u32 {
        if self == Self::Client { 1 } else { 2 }
    }

    /// Whether the other side gave this number.
    fn is_others(self, id: u32) -> bool {
        id != 0 && (id % 2 == 1) == (self == Self::Server)
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Outgoing {
    Open { stream: u32, headers: Headers },
    Reply { stream: u32 },
    Data { stream: u32, data: Bytes, fin: bool },
    Reset { stream: u32, status: u32 },
    Pong { id: u32 },
}

/// Moves frames until the session ends.
pub(super) async fn run<C: AsyncRead + AsyncWrite>(
    connection: C,
    role: Role,
    shared: Arc<Shared>,
    outgoing: mpsc::Receiver<Outgoing>,
    resets: mpsc::UnboundedReceiver<(u32, u32)>,
    offers: mpsc::Sender<Offer>,
) -> Result<(), SpdyError> {
    let (read, write) = tokio::io::split(connection);
    let reader = Reader { connection: BufReader::new(read), role, last: 0, shared: Arc::clone(&shared), offers };
    let ended = async {
        shared.ended.cancelled().await;
        sleep(LINGER).await;
        Ok(())
    };
    let work = async {
        let reading = reader.run();
        let writing = write_all(write, &shared, outgoing, resets);
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            ended = &mut reading => return ended,
            ended = writing => ended?,
        }
        // All is said; the other side hangs up.
        reading.await
    };
    let result = tokio::select! {
        result = work => result,
        result = ended => result,
    };
    // Those who read learn that there is nothing more.
    shared.streams.lock().clear();
    result
}

async fn write_all<C: AsyncRead + AsyncWrite>(
    connection: WriteHalf<C>,
    shared: &Shared,
    mut outgoing: mpsc::Receiver<Outgoing>,
    mut resets: mpsc::UnboundedReceiver<(u32, u32)>,
) -> Result<(), SpdyError> {
    let mut connection = BufWriter::with_capacity(MAX_DATA, connection);
    let mut packer = Packer::new()?;
    loop {
        if outgoing.is_empty() && resets.is_empty() {
            connection.flush().await?;
        }
        let (frame, data) = tokio::select! {
            biased;
            Some((stream, status)) = resets.recv() => (Frame::Reset { stream, status }, Bytes::new()),
            Some(what) = outgoing.recv() => encode(what, &mut packer)?,
            () = shared.ended.cancelled() => break,
        };
        connection.write_all(&frame.encode()).await?;
        connection.write_all(&data).await?;
    }
    connection.write_all(&Frame::GoAway.encode()).await?;
    connection.shutdown().await?;
    Ok(())
}

fn encode(what: Outgoing, packer: &mut Packer) -> Result<(Frame, Bytes), SpdyError> {
    Ok(match what {
        Outgoing::Open { stream, headers } => {
            (Frame::SynStream { stream, fin: false, headers: packer.pack(&headers)? }, Bytes::new())
        }
        Outgoing::Reply { stream } => {
            (Frame::SynReply { stream, fin: false, headers: packer.pack(&Headers::new())? }, Bytes::new())
        }
        Outgoing::Data { stream, data, fin } => (Frame::Data { stream, fin, length: data.len() }, data),
        Outgoing::Reset { stream, status } => (Frame::Reset { stream, status }, Bytes::new()),
        Outgoing::Pong { id } => (Frame::Ping { id }, Bytes::new()),
    })
}

struct Reader<C> {
    connection: BufReader<ReadHalf<C>>,
    role: Role,
    /// The number of the last stream that was offered.
    last: u32,
    shared: Arc<Shared>,
    offers: mpsc::Sender<Offer>,
}

impl<C: AsyncRead + AsyncWrite> Reader<C> {
    async fn run(mut self) -> Result<(), SpdyError> {
        let mut unpacker = Unpacker::new();
        while let Some(frame) = Frame::read(&mut self.connection).await? {
            match frame {
                Frame::Data { stream, fin, length } => {
                    self.data(stream, length).await?;
                    self.finish(stream, fin);
                }
                Frame::SynStream { stream, fin, headers } => {
                    let headers = unpacker.unpack(&headers)?;
                    self.offer(stream, headers).await;
                    self.finish(stream, fin);
                }
                Frame::SynReply { stream, fin, headers } => {
                    unpacker.unpack(&headers)?;
                    let entry = self.shared.streams.lock().get_mut(&stream).and_then(|entry| entry.reply.take());
                    entry.map(|reply| reply.send(Ok(())));
                    self.finish(stream, fin);
                }
                Frame::Headers { stream, fin, headers } => {
                    unpacker.unpack(&headers)?;
                    self.finish(stream, fin);
                }
                Frame::Reset { stream, status } => self.reset(stream, status),
                Frame::Ping { id } if self.role.is_others(id) => self.shared.send(Outgoing::Pong { id }).await?,
                Frame::Ping { .. } | Frame::GoAway | Frame::Other => {}
            }
        }
        Ok(())
    }

    /// Passes the body of a frame on as it comes.
    async fn data(&mut self, stream: u32, mut length: usize) -> Result<(), SpdyError> {
        let inbound = self.shared.streams.lock().get(&stream).and_then(|entry| entry.inbound.clone());
        while length > 0 {
            let mut piece = BytesMut::with_capacity(length.min(MAX_DATA));
            let limit = piece.capacity().min(length);
            let read = (&mut self.connection).take(limit as u64).read_buf(&mut piece).await?;
            if read == 0 {
                return Err(SpdyError::Io(std::io::ErrorKind::UnexpectedEof.into()));
            }
            length -= read;
            if let Some(inbound) = &inbound {
                // Nobody reads a stream that was dropped.
                let _ = inbound.send(piece.freeze()).await;
            }
        }
        Ok(())
    }

    fn finish(&self, stream: u32, fin: bool) {
        if let Some(entry) = self.shared.streams.lock().get_mut(&stream).filter(|_| fin) {
            entry.progress.finish();
            entry.inbound = None;
        }
    }

    fn reset(&self, stream: u32, status: u32) {
        let Some(entry) = self.shared.streams.lock().remove(&stream) else { return };
        entry.progress.reset();
        if let Some(reply) = entry.reply {
            // Whoever opened it may have given up.
            let _ = reply.send(Err(status));
        }
    }

    async fn offer(&mut self, stream: u32, headers: Headers) {
        let refuse = |status| self.shared.reset(stream, status);
        if !self.role.is_others(stream) {
            return refuse(INVALID_STREAM);
        }
        if stream <= self.last {
            return refuse(PROTOCOL_ERROR);
        }
        self.last = stream;
        let Some(stream) = self.shared.add(stream, headers, None) else {
            debug!("too many SPDY streams");
            return self.shared.reset(stream, REFUSED_STREAM);
        };
        // If nobody takes offers, it is refused by being dropped.
        let _ = self.offers.send(Offer::new(stream)).await;
    }
}
