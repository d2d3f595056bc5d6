//! Associations of SCTP by the kernel's own sockets, where it has some.

use std::{
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

use super::{namespace::Namespace, sctp::reach_both, server::PORT};

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
    let (_world, _servers) = reach_both(Server::start, |client, _, host, port| ask(client, host, port));
}
