use std::{
    fs::{read_dir, read_to_string},
    os::unix::fs::PermissionsExt as _,
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::program::Folder;

const FREE: &str = "--listen 127.0.0.1:0 --kubeconfig config --store memory";

#[tokio::test]
async fn the_kubeconfig_is_its_owners_and_reaches_the_cluster() {
    let folder = Folder::new();
    folder.write("config", "what was there before");
    let mut program = folder.start("standalone", FREE);
    let address = program.address().await;
    let mode = folder.path("config").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(read_dir(folder.path("")).unwrap().count(), 1, "no draft is left");
    let kubeconfig = Kubeconfig::from_yaml(&read_to_string(folder.path("config")).unwrap()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    assert_eq!(config.cluster_url.port_u16(), Some(address.port()));
    Client::try_from(config).unwrap().apiserver_version().await.unwrap();
    program.signal("TERM").await;
    assert_eq!(program.exit_code().await, Some(0));
}

#[tokio::test]
async fn no_kubeconfig_is_written_by_what_does_not_serve() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let line = folder.fails("standalone", &format!("--listen {address} --kubeconfig config --store memory")).await;
    assert_eq!(line, format!("cannot listen on {address}: Address already in use (os error 98)"));
    assert!(!folder.path("config").exists());
}

#[tokio::test]
async fn a_kubeconfig_that_cannot_be_written_is_told() {
    let folder = Folder::new();
    let line = folder.fails("standalone", "--listen 127.0.0.1:0 --kubeconfig no/config --store memory").await;
    assert_eq!(line, "cannot write no/config: No such file or directory (os error 2)");
    std::fs::create_dir(folder.path("folder")).unwrap();
    let line = folder.fails("standalone", "--listen 127.0.0.1:0 --kubeconfig folder --store memory").await;
    assert_eq!(line, "cannot write folder: Is a directory (os error 21)");
    assert_eq!(read_dir(folder.path("")).unwrap().count(), 1, "no draft is left");
}

#[tokio::test]
async fn the_same_address_serves_again_at_once_though_clients_were_connected() {
    let folder = Folder::new();
    let mut program = folder.start("standalone", FREE);
    let address = program.address().await;
    let mut watch = watch(address).await;
    program.signal("INT").await;
    assert_eq!(program.exit_code().await, Some(0));
    watch.read_to_end(&mut Vec::new()).await.unwrap();

    let mut program = folder.start("standalone", &format!("--listen {address} --kubeconfig config --store memory"));
    assert_eq!(program.address().await, address);
    program.signal("INT").await;
    assert_eq!(program.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_clients() {
    let folder = Folder::new();
    let mut program = folder.start("standalone", FREE);
    let address = program.address().await;
    let mut watch = watch(address).await;
    // A request that never ends holds the server up.
    let mut unfinished = TcpStream::connect(address).await.unwrap();
    unfinished.write_all(b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n").await.unwrap();
    program.signal("INT").await;
    // The first signal has come when watches end.
    watch.read_to_end(&mut Vec::new()).await.unwrap();
    program.signal("INT").await;
    assert_eq!(program.exit_code().await, Some(1));
}

#[tokio::test]
async fn arguments_that_are_wrong_are_named() {
    let folder = Folder::new();
    for (arguments, named) in [
        ("--bogus", "unexpected argument '--bogus'"),
        ("--listen localhost", "invalid value 'localhost' for '--listen <ADDRESS>'"),
        ("--nodes many", "invalid value 'many' for '--nodes <COUNT>'"),
    ] {
        let output = folder.run("standalone", arguments).await;
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(named), "{said}");
    }
}

/// A connection with a watch that has begun.
async fn watch(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /api/v1/nodes?watch=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    stream.read_exact(&mut [0; "HTTP/1.1 200".len()]).await.unwrap();
    stream
}
