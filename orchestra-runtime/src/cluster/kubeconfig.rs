use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A kubeconfig with one context, `orchestra`, and no credentials.
pub(super) fn kubeconfig(address: SocketAddr) -> String {
    let address = SocketAddr::new(reachable(address.ip()), address.port());
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: orchestra
  cluster:
    server: http://{address}
    insecure-skip-tls-verify: true
contexts:
- name: orchestra
  context:
    cluster: orchestra
    user: orchestra
    namespace: default
current-context: orchestra
users:
- name: orchestra
  user: {{}}
"
    )
}

/// The address by which a server that listens on `ip` is reached: of one that listens on all of them, the loopback one.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}
