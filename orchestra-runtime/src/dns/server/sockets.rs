use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, UdpSocket},
};

/// How often a free port is looked for that is free for both protocols.
const ATTEMPTS: usize = 32;

/// A UDP and a TCP socket at the same address.
#[derive(Debug)]
pub(in crate::dns) struct Sockets {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

impl Sockets {
    /// Listens on `address`; port 0 is any that is free.
    pub(in crate::dns) fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut bound = Self::try_bind(address);
        for _ in 1..ATTEMPTS {
            match &bound {
                Err(error) if address.port() == 0 && error.kind() == ErrorKind::AddrInUse => {
                    bound = Self::try_bind(address);
                }
                _ => break,
            }
        }
        bound
    }

    fn try_bind(address: SocketAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind(address)?;
        let tcp = TcpListener::bind(udp.local_addr()?)?;
        udp.set_nonblocking(true)?;
        tcp.set_nonblocking(true)?;
        Ok(Self { udp, tcp })
    }

    /// Where it listens.
    pub(in crate::dns) fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}
