//! A cluster over HTTP: where it is reached, and that nothing of it is left once it has shut down.
#![allow(clippy::unwrap_used)]

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use orchestra_runtime::Cluster;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn started() -> Cluster {
    Cluster::builder().start().await.unwrap()
}

async fn client(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

#[tokio::test]
async fn the_kubeconfig_reaches_a_server_that_listens_on_all_addresses() {
    let cluster = started().await;
    for all in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
        let address = match cluster.serve(SocketAddr::new(all, 0)).await {
            Ok(address) => address,
            // A machine without IPv6.
            Err(error) if all.is_ipv6() => {
                println!("skipped: {error}");
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        let nodes = Api::<Node>::all(client(&cluster.kubeconfig(address)).await);
        assert_eq!(nodes.list(&Default::default()).await.unwrap().items.len(), 1);
    }
    cluster.shut_down().await;
}

#[tokio::test]
async fn the_kubeconfig_names_loopback_in_place_of_all_addresses() {
    let cluster = started().await;
    for (address, server) in [
        ("0.0.0.0:80", "http://127.0.0.1:80\n"),
        ("[::]:80", "http://[::1]:80\n"),
        ("192.0.2.1:80", "http://192.0.2.1:80\n"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80\n"),
    ] {
        let kubeconfig = cluster.kubeconfig(address.parse().unwrap());
        assert!(kubeconfig.contains(&format!("server: {server}")), "{kubeconfig}");
    }
    cluster.shut_down().await;
}

#[tokio::test]
async fn an_address_in_use_is_an_error_and_the_cluster_goes_on() {
    let taken = TcpListener::bind(ANY_PORT).await.unwrap();
    let cluster = started().await;
    let error = cluster.serve(taken.local_addr().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(cluster.serve(ANY_PORT).await.is_ok());
    cluster.shut_down().await;
}

/// A connection on which `request` was sent and, if it is a whole one, the head of the answer read.
async fn connection(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    if request.ends_with("\r\n\r\n") {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    }
    stream
}

/// Shuts the cluster down and waits until nothing that it spawned is left.
async fn ends(cluster: Cluster) {
    cluster.shut_down().await;
    let ended = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(5), ended).await;
    assert!(ended.is_ok(), "{} tasks are left", Handle::current().metrics().num_alive_tasks());
}

async fn end_of(mut stream: TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn open_watches_and_idle_connections_end_with_the_cluster() {
    let cluster = Cluster::builder().nodes(3).start().await.unwrap();
    let address = cluster.serve(ANY_PORT).await.unwrap();
    let watch = connection(address, "GET /api/v1/pods?watch=1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let idle = connection(address, "GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let silent = connection(address, "").await;
    ends(cluster).await;
    for stream in [watch, idle, silent] {
        end_of(stream).await;
    }
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_server_that_ended_its_watches_refuses_new_ones() {
    let cluster = started().await;
    cluster.server().end_watches();
    let nodes = Api::<Node>::all(cluster.client());
    assert!(nodes.get("node-1").await.is_ok());
    let refused = nodes.watch(&Default::default(), "0").await.err();
    assert!(matches!(&refused, Some(kube::Error::Api(status)) if status.code == 503), "{refused:?}");
    cluster.shut_down().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_finished_does_not_hold_up_the_end() {
    let cluster = started().await;
    let address = cluster.serve(ANY_PORT).await.unwrap();
    let head = "POST /api/v1/namespaces HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{";
    let unfinished = connection(address, head).await;
    ends(cluster).await;
    drop(unfinished);
}

#[tokio::test]
async fn requests_have_as_many_headers_as_kubernetes_takes() {
    let cluster = started().await;
    let address = cluster.serve(ANY_PORT).await.unwrap();
    let groups = |count: usize, bytes: usize| format!("impersonate-group: {}\r\n", "g".repeat(bytes)).repeat(count);
    for (headers, code) in [(groups(900, 1_000), 200), (groups(1, 900_000), 200), (groups(2, 600_000), 431)] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
        // A server that has seen enough hangs up before it has read all.
        let sent = stream.write_all(head.as_bytes()).await;
        assert!(sent.is_ok() || code != 200, "{sent:?}");
        let mut status = [0; 12];
        let answered = stream.read_exact(&mut status).await;
        assert!(answered.is_ok() || code != 200, "{answered:?}");
        if answered.is_ok() {
            assert_eq!(String::from_utf8_lossy(&status), format!("HTTP/1.1 {code}"));
        }
    }
    cluster.shut_down().await;
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_told_so_and_not_cut_off() {
    const LENGTH: usize = 32 << 20;
    let cluster = started().await;
    let address = cluster.serve(ANY_PORT).await.unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; LENGTH]).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    cluster.shut_down().await;
}
