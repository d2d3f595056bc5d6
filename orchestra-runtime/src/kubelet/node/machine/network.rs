use std::net::{IpAddr, UdpSocket};

/// Where nobody is: addresses for documentation (RFC 5737, RFC 3849).
const ELSEWHERE: [(&str, &str); 2] = [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")];

/// The address that packets to elsewhere would have as their source: that of the interface with the default route, which Kubernetes'
/// kubelet takes too. None is sent.
pub(super) fn address() -> Option<IpAddr> {
    ELSEWHERE.iter().find_map(|(any, elsewhere)| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.connect(elsewhere).ok()?;
        let address = socket.local_addr().ok()?.ip();
        (!address.is_unspecified() && !address.is_loopback()).then_some(address)
    })
}
