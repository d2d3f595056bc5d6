//! The servers that the machine itself asks.

use std::net::{IpAddr, SocketAddr};

use tracing::warn;

/// The port of DNS.
const PORT: u16 = 53;

/// The servers named in the text of a `resolv.conf` (see its manual page). Unlike the C library, all are used, not the first three.
pub(super) fn servers(text: &str) -> Vec<SocketAddr> {
    text.lines().filter_map(server).collect()
}

fn server(line: &str) -> Option<SocketAddr> {
    let mut words = line.split_whitespace();
    let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
    match address.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, PORT)),
        Err(_) => {
            warn!(address, "name server not used: no address without a scope");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_and_nothing_else() {
        let text = "# nameserver 1.1.1.1\nsearch a.example nameserver\n nameserver\t10.0.0.2 # first\nnameserver fd00::53\nnameserver fe80::1%eth0\nnameserver\noptions ndots:5\n";
        assert_eq!(servers(text), ["10.0.0.2:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap()]);
    }
}
