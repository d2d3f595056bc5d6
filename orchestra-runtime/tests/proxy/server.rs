//! Servers that say who they are and whom they see, and clients that ask them.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::namespace::Namespace;

/// How long a client waits for an answer that is to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client waits for an answer that is not to come.
pub(crate) const SILENCE: Duration = Duration::from_millis(400);

/// The port of all servers.
pub(crate) const PORT: u16 = 8080;

/// A server on TCP and UDP in both families; it ends when dropped.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Server {
    /// Starts one within `namespace`. To each connection and datagram it answers `name`, a space and the client's address.
    pub(crate) fn start(namespace: &Namespace, name: &str) -> Self {
        let (listener, socket) = namespace.enter(|| {
            let any = SocketAddr::from(([0_u16; 8], PORT));
            (TcpListener::bind(any).unwrap(), UdpSocket::bind(any).unwrap())
        });
        let stop = Arc::new(AtomicBool::new(false));
        listener.set_nonblocking(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let answer = |name: &str, peer: SocketAddr| format!("{name} {}", peer.ip().to_canonical());
        let (tcp_name, tcp_stop) = (name.to_owned(), Arc::clone(&stop));
        let tcp = thread::spawn(move || {
            while !tcp_stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((mut stream, peer)) => drop(stream.write_all(answer(&tcp_name, peer).as_bytes())),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        let (udp_name, udp_stop) = (name.to_owned(), Arc::clone(&stop));
        let udp = thread::spawn(move || {
            let mut buffer = [0; 64];
            while !udp_stop.load(Ordering::Relaxed) {
                if let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(answer(&udp_name, peer).as_bytes(), peer);
                }
            }
        });
        Self { stop, threads: vec![tcp, udp] }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What a server at `address` answers to a client in `namespace` over TCP.
pub(crate) fn ask(namespace: &Namespace, address: &str) -> io::Result<String> {
    ask_within(namespace, address, PATIENCE)
}

/// As [`ask`], for no longer than `patience`.
pub(crate) fn ask_within(namespace: &Namespace, address: &str, patience: Duration) -> io::Result<String> {
    let address = parsed(address);
    namespace.enter(|| connect(address, patience))
}

/// One connection from the namespace of the thread.
pub(crate) fn connect(address: SocketAddr, patience: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// As [`ask_within`], over UDP from a port of the client's own, so that connections are told apart or not.
pub(crate) fn ask_udp(namespace: &Namespace, from: u16, address: &str, patience: Duration) -> io::Result<String> {
    let address = parsed(address);
    namespace.enter(|| {
        let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        let socket = bind((any, from).into(), patience)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(patience))?;
        socket.send(b"?")?;
        let mut buffer = [0; 128];
        let count = socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..count]).into_owned())
    })
}

/// A program that another test starts at this moment has the socket for a moment too, so that its port is taken for as long.
fn bind(address: SocketAddr, patience: Duration) -> io::Result<UdpSocket> {
    let end = std::time::Instant::now() + patience;
    loop {
        match UdpSocket::bind(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && std::time::Instant::now() < end => {
                thread::sleep(Duration::from_millis(1));
            }
            bound => return bound,
        }
    }
}

fn parsed(address: &str) -> SocketAddr {
    address.parse().expect("an address with a port")
}
