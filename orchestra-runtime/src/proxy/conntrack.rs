//! Connections of UDP that go to an endpoint which is gone.
//!
//! The kernel keeps sending the datagrams of a client to where its first one went for as long as they keep coming. TCP would notice; UDP
//! does not. So what is to a Service and not from one that serves it is forgotten, by the program `conntrack`, as a client's next datagram
//! finds an endpoint anew.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::IpAddr,
};

use super::{Family, PortKey, Program, Protocol, RuleSet, nft::NftError};

/// One direction of connections that share their fate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Flow {
    /// Where the client sends to.
    destination: IpAddr,
    port: u16,
    /// Who answers.
    from: IpAddr,
}

/// Forgets what is stale of the ports `changed`, as `rules` have them now. Does nothing if none is of UDP, or has nobody who serves.
///
/// # Errors
/// The program cannot be run or cannot list connections.
pub(super) async fn forget_stale(program: &Program, rules: &RuleSet, changed: &[PortKey]) -> Result<usize, NftError> {
    let mut forgotten = 0;
    for family in Family::ALL {
        let serving = Serving::of(rules, changed, family);
        if serving.is_empty() {
            continue;
        }
        let name = family.address_type().to_ascii_lowercase();
        let listed = program.run(&["-L", "-p", "udp", "-f", &name], "").await?;
        let stale: BTreeSet<Flow> = listed.lines().filter_map(read).filter(|flow| serving.is_stale(flow)).collect();
        for flow in stale {
            let (destination, port, from) =
                (flow.destination.to_string(), flow.port.to_string(), flow.from.to_string());
            let delete = ["-D", "-p", "udp", "-f", &name, "-d", &destination, "--dport", &port, "-r", &from];
            match program.run(&delete, "").await {
                Ok(_) => forgotten += 1,
                // It says so too when there is none any more.
                Err(error @ NftError::Refused { .. }) => tracing::debug!(%error, "a stale connection went by itself"),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(forgotten)
}

/// Who serves at which front.
#[derive(Default)]
struct Serving<'a> {
    addresses: HashMap<(IpAddr, u16), HashSet<&'a IpAddr>>,
    node_ports: HashMap<u16, HashSet<&'a IpAddr>>,
}

impl<'a> Serving<'a> {
    fn of(rules: &'a RuleSet, changed: &[PortKey], family: Family) -> Self {
        let mut serving = Self::default();
        for key in changed.iter().filter(|key| key.protocol == Protocol::Udp && key.family == family) {
            let Some(port) = rules.port(key).filter(|port| !port.serving.is_empty()) else { continue };
            for front in port.fronts.iter().filter(|rule| !rule.shadowed).map(|rule| rule.front) {
                match front.address {
                    Some(address) => serving.addresses.entry((address, front.port)).or_default(),
                    None => serving.node_ports.entry(front.port).or_default(),
                }
                .extend(&port.serving);
            }
        }
        serving
    }

    fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.node_ports.is_empty()
    }

    fn is_stale(&self, flow: &Flow) -> bool {
        let serving = self.addresses.get(&(flow.destination, flow.port)).or_else(|| self.node_ports.get(&flow.port));
        serving.is_some_and(|serving| !serving.contains(&flow.from))
    }
}

/// Reads a line of `conntrack -L`: the first `dst` and `dport` are the client's, the second `src` is of who answers.
fn read(line: &str) -> Option<Flow> {
    let values = |name: &'static str| {
        line.split_whitespace()
            .filter_map(move |word| word.split_once('='))
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    Some(Flow {
        destination: values("dst").next()?.parse().ok()?,
        port: values("dport").next()?.parse().ok()?,
        from: values("src").nth(1)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_program_are_read() {
        let line = "udp      17 29 src=10.244.0.4 dst=10.96.0.10 sport=5000 dport=53 [UNREPLIED] src=10.244.0.2 dst=10.244.0.4 sport=5353 dport=5000 mark=0 use=1";
        let flow = read(line).unwrap();
        assert_eq!(flow, Flow { destination: [10, 96, 0, 10].into(), port: 53, from: [10, 244, 0, 2].into() });
        assert_eq!(read("conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown."), None);
    }
}
