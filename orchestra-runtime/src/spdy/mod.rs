//! SPDY/3.1, as far as Kubernetes speaks it: many streams of bytes, each with headers and two directions, over one connection.
//!
//! `kubectl exec`, `attach` and `port-forward` used it before there were WebSockets for them and fall back to it; container runtimes serve
//! their streams with nothing else. It is the protocol of the draft `draft-mbelshe-httpbis-spdy-00` as `github.com/moby/spdystream` has it:
//! flow control is the connection's, so window updates are not counted and none are sent.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use orchestra_runtime::spdy::{self, Headers};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! let (near, far) = tokio::io::duplex(1024);
//! let (client, _, client_driver) = spdy::client(near);
//! let (server, mut offers, server_driver) = spdy::server(far);
//! tokio::spawn(client_driver);
//! tokio::spawn(server_driver);
//! let echo = tokio::spawn(async move {
//!     let mut stream = offers.recv().await?.accept().await.ok()?;
//!     let mut heard = Vec::new();
//!     stream.read_to_end(&mut heard).await.ok()?;
//!     stream.write_all(&heard).await.ok()?;
//!     stream.shutdown().await.ok()?;
//!     Some(server)
//! });
//! let mut stream = client.open(Headers::from([("streamtype".into(), "data".into())])).await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?;
//! let mut back = String::new();
//! stream.read_to_string(&mut back).await?;
//! assert_eq!(back, "hello");
//! # drop(echo.await);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod dictionary;
mod driver;
mod frame;
mod header_block;
mod session;
mod stream;

use std::io;

pub use self::{
    header_block::Headers,
    session::{Offer, Offers, Session, client, server},
    stream::Stream,
};

/// Why a session ended or a stream was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpdyError {
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side does not keep to the protocol.
    #[error("SPDY: {0}")]
    Protocol(&'static str),
    /// The session has ended.
    #[error("SPDY: the session has ended")]
    Ended,
    /// The other side refused the stream with this status code of SPDY.
    #[error("SPDY: the stream was refused (status {0})")]
    Refused(u32),
}
