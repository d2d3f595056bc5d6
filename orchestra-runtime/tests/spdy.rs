//! SPDY/3.1 sessions over connections in memory.
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;

use orchestra_core::random::Generator;
use orchestra_runtime::spdy::{self, Headers, Offers, Session, SpdyError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

/// Both sides of a session whose drivers run.
fn pair() -> ((Session, Offers), (Session, Offers)) {
    let (near, far) = duplex(1000);
    let (client, client_offers, driver) = spdy::client(near);
    tokio::spawn(driver);
    let (server, server_offers, driver) = spdy::server(far);
    tokio::spawn(driver);
    ((client, client_offers), (server, server_offers))
}

fn headers(name: &str) -> Headers {
    Headers::from([("streamtype".to_owned(), name.to_owned())])
}

#[tokio::test]
async fn both_sides_open_streams_with_headers() {
    let ((client, mut to_client), (server, mut to_server)) = pair();
    let take = async {
        let offer = to_server.recv().await.unwrap();
        assert_eq!(offer.headers(), &headers("data"));
        let _kept = offer.accept().await.unwrap();
        server.open(headers("back")).await.unwrap()
    };
    let open = async {
        let stream = client.open(headers("data")).await.unwrap();
        to_client.recv().await.unwrap().accept().await.unwrap();
        stream
    };
    tokio::join!(take, open);
}

#[tokio::test]
async fn each_direction_ends_by_itself() {
    let ((client, _to_client), (_server, mut to_server)) = pair();
    let accept = async { to_server.recv().await.unwrap().accept().await.unwrap() };
    let (near, mut far) = tokio::join!(client.open(headers("data")), accept);
    let mut near = near.unwrap();
    near.write_all(b"question").await.unwrap();
    near.shutdown().await.unwrap();
    let mut heard = String::new();
    far.read_to_string(&mut heard).await.unwrap();
    far.write_all(b"answer").await.unwrap();
    far.shutdown().await.unwrap();
    drop(far);
    near.read_to_string(&mut heard).await.unwrap();
    assert_eq!(heard, "questionanswer");
    assert_eq!(near.write_all(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn large_data_passes_and_a_slow_reader_holds_the_writer_up() {
    let ((client, _to_client), (_server, mut to_server)) = pair();
    let accept = async { to_server.recv().await.unwrap().accept().await.unwrap() };
    let (near, mut far) = tokio::join!(client.open(headers("data")), accept);
    let mut near = near.unwrap();
    let data: Vec<u8> = (0..8_000_000_u32).map(|i| (i / 7) as u8).collect();
    let sent = data.clone();
    let writing = tokio::spawn(async move {
        near.write_all(&sent).await.unwrap();
        near.shutdown().await.unwrap();
        near
    });
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished(), "nobody reads");
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    assert!(heard == data, "{} bytes", heard.len());
    writing.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_broken_off() {
    let ((client, _to_client), (_server, mut to_server)) = pair();
    let accept = async { to_server.recv().await.unwrap().accept().await.unwrap() };
    let (near, far) = tokio::join!(client.open(headers("data")), accept);
    drop(far);
    let mut near = near.unwrap();
    assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(near.write_all(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn an_offer_that_is_dropped_is_refused() {
    let ((client, _to_client), (_server, mut to_server)) = pair();
    let (opened, ()) = tokio::join!(client.open(headers("data")), async { drop(to_server.recv().await.unwrap()) });
    assert!(matches!(opened, Err(SpdyError::Refused(3))), "{opened:?}");
}

#[tokio::test]
async fn what_was_written_before_the_end_arrives() {
    let ((client, _to_client), (server, mut to_server)) = pair();
    let accept = async { to_server.recv().await.unwrap().accept().await.unwrap() };
    let (near, mut far) = tokio::join!(client.open(headers("data")), accept);
    let mut near = near.unwrap();
    far.write_all(&[7; 5000]).await.unwrap();
    far.shutdown().await.unwrap();
    server.close();
    let mut heard = Vec::new();
    near.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, [7; 5000]);
    drop(client);
    assert!(to_server.recv().await.is_none());
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_end_of_a_stream() {
    let (near, far) = duplex(1000);
    let (client, _offers, driver) = spdy::client(near);
    tokio::spawn(driver);
    let (_server, mut to_server, driver) = spdy::server(far);
    let server = tokio::spawn(driver);
    let accept = async { to_server.recv().await.unwrap().accept().await.unwrap() };
    let (near, _far) = tokio::join!(client.open(headers("data")), accept);
    server.abort();
    assert_eq!(near.unwrap().read_u8().await.unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert!(client.open(headers("data")).await.is_err());
}

#[tokio::test]
async fn pings_are_answered() {
    let (mut near, far) = duplex(1000);
    let (_server, _offers, driver) = spdy::server(far);
    tokio::spawn(driver);
    let ping = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1];
    near.write_all(&ping).await.unwrap();
    let mut pong = [0; 12];
    near.read_exact(&mut pong).await.unwrap();
    assert_eq!(pong, ping);
}

#[tokio::test]
async fn arbitrary_bytes_end_a_session_and_no_more() {
    let generator = Generator::seeded(7);
    for _ in 0..500 {
        let (mut near, far) = duplex(1 << 16);
        let (server, mut offers, driver) = spdy::server(far);
        let length = generator.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| generator.below(256) as u8).collect();
        if bytes.len() > 8 && generator.below(4) > 0 {
            let kind = generator.below(10) as u8;
            bytes[..8].copy_from_slice(&[0x80, 3, 0, kind, 1, 0, 0, generator.below(40) as u8]);
        }
        near.write_all(&bytes).await.unwrap();
        drop(near);
        let taking = async { while offers.recv().await.is_some() {} };
        let _ = tokio::join!(driver, taking);
        drop(server);
    }
}
