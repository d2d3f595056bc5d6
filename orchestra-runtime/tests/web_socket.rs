//! A watch over WebSocket.
#![allow(clippy::unwrap_used)] // in what tests share; clippy allows it in tests by itself

use std::{net::SocketAddr, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use orchestra_runtime::Cluster;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const UPGRADE: &str = "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";

/// Asks for `path` over WebSocket; the answer's head, and the connection after it.
async fn connect(address: SocketAddr, path: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The key of RFC 6455's example.
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: a\r\n{UPGRADE}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap().to_lowercase(), stream)
}

/// The opcode and payload of the next message.
async fn message(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let opcode = stream.read_u8().await.unwrap() & 0x0f;
    let length = match stream.read_u8().await.unwrap() {
        126 => stream.read_u16().await.unwrap().into(),
        127 => panic!("longer than any object here"),
        length => usize::from(length),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    (opcode, payload)
}

#[tokio::test]
async fn each_event_is_a_text_message() {
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let address = cluster.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let path = "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Da";
    let (head, mut stream) = connect(address, path).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap();
    let maps = Api::<ConfigMap>::default_namespaced(cluster.client());
    maps.create(&PostParams::default(), &map).await.unwrap();
    let (opcode, event) = message(&mut stream).await;
    let event: Value = serde_json::from_slice(&event).unwrap();
    assert_eq!((opcode, &event["type"], &event["object"]["metadata"]["name"]), (1, &json!("ADDED"), &json!("a")));
    assert_eq!(message(&mut stream).await.0, 8, "a message that closes the connection");
    cluster.shut_down().await;
}

#[tokio::test]
async fn a_watch_that_is_refused_is_no_web_socket_and_an_open_one_ends_with_the_cluster() {
    let cluster = Cluster::builder().nodes(0).start().await.unwrap();
    let address = cluster.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (head, _) = connect(address, "/api/v1/configmaps?watch=1&labelSelector=!!").await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
    let (head, mut open) = connect(address, "/api/v1/secrets?watch=1").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    cluster.shut_down().await;
    let end = timeout(Duration::from_secs(5), open.read_to_end(&mut Vec::new())).await;
    assert!(end.is_ok(), "the connection is left");
}
