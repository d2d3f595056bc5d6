//! Associations of SCTP, begun by hand (RFC 9260): not every kernel speaks SCTP, but it follows others' associations if it has NAT for them.

use std::{
    collections::BTreeSet,
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::net::{AddressFamily, SocketType, ipproto, socket};
use serde_json::json;

use super::{
    namespace::Namespace,
    server::PORT,
    world::{World, at, slices_of, web},
};

const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
/// The parameter in which a server sends what the client is to repeat: here, the server's name.
const COOKIE: u16 = 7;
const TAG: u32 = 0x0102_0304;
const PATIENCE: Duration = Duration::from_secs(5);

/// What opens an association, or answers to that.
#[derive(Debug, PartialEq, Eq)]
struct Packet {
    from: u16,
    to: u16,
    tag: u32,
    kind: u8,
    cookie: String,
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let mut parameters = Vec::new();
        if !self.cookie.is_empty() {
            assert_eq!(self.cookie.len() % 4, 0, "it would have to be padded");
            parameters.extend(COOKIE.to_be_bytes());
            parameters.extend(u16::try_from(self.cookie.len() + 4).unwrap().to_be_bytes());
            parameters.extend(self.cookie.as_bytes());
        }
        let mut bytes = [self.from.to_be_bytes(), self.to.to_be_bytes()].concat();
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]); // the checksum's place
        bytes.extend([self.kind, 0]);
        bytes.extend(u16::try_from(20 + parameters.len()).unwrap().to_be_bytes());
        bytes.extend(TAG.to_be_bytes());
        bytes.extend(65_536_u32.to_be_bytes()); // the receiver's window
        bytes.extend([0, 1, 0, 1]); // streams
        bytes.extend(1_u32.to_be_bytes()); // the first number
        bytes.extend(parameters);
        let sum = checksum(&bytes);
        bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The packet in an IPv4 packet; its checksum must be right. A kernel that speaks SCTP answers too, that it knows of no association: that is
    /// `None`, and its checksum is for the device to compute.
    fn of(ip: &[u8]) -> Option<Self> {
        let bytes = &ip[usize::from(ip[0] & 0xf) * 4..];
        if ![INIT, INIT_ACK].contains(&bytes[12]) {
            return None;
        }
        let short = |at: usize| u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap());
        let mut zeroed = bytes.to_vec();
        zeroed[8..12].fill(0);
        assert_eq!(bytes[8..12], checksum(&zeroed).to_le_bytes(), "the checksum");
        let cookie = if bytes.len() > 32 { &bytes[36..32 + usize::from(short(34))] } else { &[] };
        let tag = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
        let cookie = String::from_utf8(cookie.to_vec()).unwrap();
        Some(Self { from: short(0), to: short(2), tag, kind: bytes[12], cookie })
    }
}

/// CRC32c.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg()))
    })
}

/// A socket for packets of SCTP, within the namespace of the thread. Raw sockets are used as those of UDP are; ports mean nothing to them.
fn raw() -> UdpSocket {
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::SCTP)).unwrap();
    UdpSocket::from(socket)
}

/// Answers who wants to open an association with [`PORT`], until it is dropped.
struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(namespace: &Namespace, name: &'static str) -> Self {
        let socket = namespace.enter(raw);
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 256];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut buffer) else { continue };
                let Some(Packet { from, to, kind, .. }) = Packet::of(&buffer[..length]) else { continue };
                if (to, kind) == (PORT, INIT) {
                    let answer = Packet { from: to, to: from, tag: TAG, kind: INIT_ACK, cookie: name.to_owned() };
                    socket.send_to(&answer.bytes(), client).unwrap();
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

/// Who answers to a client in `namespace` that opens an association from the port `from`.
fn open(namespace: &Namespace, from: u16, host: &str, port: u16) -> io::Result<String> {
    let socket = namespace.enter(raw);
    socket.set_read_timeout(Some(PATIENCE))?;
    let opening = Packet { from, to: port, tag: 0, kind: INIT, cookie: String::new() };
    socket.send_to(&opening.bytes(), (host, 0))?;
    let begun = Instant::now();
    let mut buffer = [0; 256];
    while begun.elapsed() < PATIENCE {
        let (length, server) = socket.recv_from(&mut buffer)?;
        let Some(answer) = Packet::of(&buffer[..length]) else { continue };
        if (answer.kind, answer.to) == (INIT_ACK, from) {
            // From where it asked, not from the endpoint.
            assert_eq!((server.ip().to_string().as_str(), answer.from, answer.tag), (host, port, TAG));
            return Ok(answer.cookie);
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Has a Service of two servers, which `serve` makes, and asks them from wherever clients are until both must have answered. `ask` is told
/// how often it was asked before.
pub(crate) fn reach_both<S>(
    serve: fn(&Namespace, &'static str) -> S,
    ask: impl Fn(&Namespace, u16, &str, u16) -> io::Result<String>,
) -> (World, [S; 2]) {
    let mut world = World::new(3);
    let servers = [serve(&world.pods[0], "pod0"), serve(&world.pods[1], "pod1")];
    let spec = json!({"type": "NodePort", "ports": [{"port": 80, "protocol": "SCTP", "nodePort": 30080}]});
    world.apply(&[web(spec)], &slices_of("SCTP", &[at(0, "here"), at(1, "here")]));
    let both = BTreeSet::from(["pod0".to_owned(), "pod1".to_owned()]);
    for (client, host, port) in
        [(&world.pods[2], "10.96.0.10", 80), (&world.node, "10.96.0.10", 80), (&world.outside, "192.0.2.1", 30080)]
    {
        let answering = (0..30).map(|before| ask(client, before, host, port).unwrap()).collect::<BTreeSet<_>>();
        assert_eq!(answering, both, "{host}:{port}");
    }
    (world, servers)
}

#[test]
fn associations_are_opened_through_services() {
    let (world, _servers) =
        reach_both(Server::start, |client, before, host, port| open(client, 40_000 + before, host, port));
    assert_eq!(
        open(&world.pods[2], 50_000, "10.96.0.10", 80).unwrap(),
        open(&world.pods[2], 50_000, "10.96.0.10", 80).unwrap()
    );
}
