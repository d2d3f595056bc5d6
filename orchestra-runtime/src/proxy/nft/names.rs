//! What things are called in the tables. The sets, maps and chains that people look at have the names that Kubernetes 1.36 gives them.

use super::super::{Policy, PortKey};
use std::net::SocketAddr;

/// The table of each family.
pub(super) const TABLE: &str = "kube-proxy";

/// The longest name that nftables takes is 255 bytes; the longest prefix has 16.
const LONGEST: usize = 239;

/// The chain with a port's endpoints under `policy`; only ports with session affinity have one.
pub(super) fn policy_chain(key: &PortKey, policy: Policy) -> String {
    let prefix = match policy {
        Policy::Cluster => "service",
        Policy::Local => "local",
    };
    format!("{prefix}-{}", hashed(port_name(key)))
}

/// The chain for a port's traffic from outside; only ports with session affinity have one.
pub(super) fn external_chain(key: &PortKey) -> String {
    format!("external-{}", hashed(port_name(key)))
}

/// The chain that drops who is not in a port's source ranges.
pub(super) fn firewall_chain(key: &PortKey) -> String {
    format!("firewall-{}", hashed(port_name(key)))
}

/// The chain and the set of clients of one endpoint of a port with session affinity.
pub(super) fn endpoint_names(key: &PortKey, endpoint: &SocketAddr) -> (String, String) {
    // Chains' names have no colons.
    let address = endpoint.ip().to_string().replace(':', ".");
    let name = hashed(format!("{}__{address}/{}", port_name(key), endpoint.port()));
    (format!("endpoint-{name}"), format!("affinity-{name}"))
}

fn port_name(key: &PortKey) -> String {
    format!("{}/{}/{}", key.service, key.protocol, key.port)
}

/// Begins a name with its hash, so that names stay distinct when they are cut off, and are told apart at a glance.
fn hashed(name: String) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    // FNV-1a: the names are of a cluster's own making, and a name that is not cut off is distinct by itself.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut hashed: String = (0..8)
        .map(|digit| char::from(DIGITS[usize::try_from(hash >> (64 - 5 * (digit + 1)) & 31).unwrap_or(0)]))
        .collect();
    hashed.push('-');
    hashed.push_str(&name);
    if hashed.len() > LONGEST {
        // All of it is ASCII: names of Kubernetes' objects are.
        hashed.truncate(LONGEST - 3);
        hashed.push_str("...");
    }
    hashed
}
