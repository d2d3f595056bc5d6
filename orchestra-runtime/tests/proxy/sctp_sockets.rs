//! Associations of SCTP by the kernel's own sockets, where it has some.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::net::{
    AddressFamily, SocketType, bind, connect, ipproto, listen, socket,
    sockopt::{Timeout, set_socket_timeout},
};
use serde_json::json;

use super::{
    namespace::Namespace,
    server::PORT,
    world::{World, at, slices_of, web},
};

const PATIENCE: Duration = Duration::from_secs(5);

/// A socket for one association, which is read and written as a connection of TCP.
fn sctp() -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, Some(ipproto::SCTP))?;
    for direction in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&socket, direction, Some(PATIENCE))?;
    }
    Ok(socket)
}

/// Tells its name to all who open an association with [`PORT`], until it is dropped.
struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(namespace: &Namespace, name: &'static str) -> Self {
        let listener = namespace.enter(|| {
            let socket = sctp().expect("a kernel that speaks SCTP");
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
            listen(&socket, 16).unwrap();
            TcpListener::from(socket)
        });
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, _)) => drop(stream.write_all(name.as_bytes())),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// Who answers to a client in `namespace`.
fn ask(namespace: &Namespace, host: &str, port: u16) -> io::Result<String> {
    let server = SocketAddrV4::new(host.parse().unwrap(), port);
    let mut stream = namespace.enter(|| {
        let socket = sctp()?;
        connect(&socket, &server)?;
        io::Result::Ok(TcpStream::from(socket))
    })?;
    let mut name = [0; 16];
    let length = stream.read(&mut name)?;
    Ok(String::from_utf8_lossy(&name[..length]).into_owned())
}

#[test]
#[ignore = "it needs a kernel that speaks SCTP"]
fn associations_reach_all_servers_and_speak_with_them() {
    let mut world = World::new(3);
    let _servers = [Server::start(&world.pods[0], "pod0"), Server::start(&world.pods[1], "pod1")];
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "SCTP", "nodePort": 30080}]});
    world.apply(&[web(spec)], &slices_of("SCTP", &[at(0, "here"), at(1, "here")]));
    let both = BTreeSet::from(["pod0".to_owned(), "pod1".to_owned()]);
    for (client, host, port) in
        [(&world.pods[2], "10.96.0.10", 80), (&world.node, "10.96.0.10", 80), (&world.outside, "192.0.2.1", 30080)]
    {
        let answering = (0..30).map(|_| ask(client, host, port).unwrap()).collect::<BTreeSet<_>>();
        assert_eq!(answering, both, "{host}:{port}");
    }
}
