use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use orchestra_core::container_runtime::{Cidr, RuntimeError};

/// The addresses of the pods that the runtime runs, taken from the networks of the nodes that it runs them for: one, as a rule.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    networks: Vec<Network>,
    used: BTreeSet<IpAddr>,
}

#[derive(Debug)]
struct Network {
    cidr: Cidr,
    /// The number of the address that was taken last.
    last: u64,
}

impl Addresses {
    /// Takes addresses from `cidr` first from now on.
    pub(super) fn prefer(&mut self, cidr: Cidr) {
        let known = self.networks.iter().position(|network| network.cidr == cidr);
        let network = known.map_or_else(|| Network::new(cidr), |known| self.networks.remove(known));
        self.networks.insert(0, network);
    }

    /// A free address; they are taken in turn, so that one that was just given back rests.
    pub(super) fn take(&mut self) -> Result<IpAddr, RuntimeError> {
        if self.networks.is_empty() {
            self.networks.extend(Cidr::new(Ipv4Addr::new(10, 244, 0, 0).into(), 24).map(Network::new));
        }
        let Self { networks, used } = self;
        let taken = networks.iter_mut().find_map(|network| network.take(used));
        let none = || RuntimeError::Failed("no IP addresses available in the pod network of the node".to_owned());
        taken.ok_or_else(none)
    }

    /// Whether the address is of one of the networks.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.cidr.contains(address))
    }

    /// Gives an address back.
    pub(super) fn release(&mut self, address: IpAddr) {
        self.used.remove(&address);
    }
}

impl Network {
    fn new(cidr: Cidr) -> Self {
        Self { cidr, last: 1 }
    }

    /// The first two addresses are those of the network itself and of its bridge, the last one is its broadcast address.
    fn take(&mut self, used: &mut BTreeSet<IpAddr>) -> Option<IpAddr> {
        let end = self.cidr.size() - 1;
        for _ in 2..end {
            self.last = if self.last + 1 < end { self.last + 1 } else { 2 };
            let address = self.cidr.nth(self.last)?;
            if used.insert(address) {
                return Some(address);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(addresses: &mut Addresses) -> String {
        addresses.take().unwrap().to_string()
    }

    #[test]
    fn addresses_are_taken_in_turn_until_none_is_left() {
        let mut addresses = Addresses::default();
        let first = addresses.take().unwrap();
        assert_eq!(first.to_string(), "10.244.0.2");
        addresses.release(first);
        assert_eq!(take(&mut addresses), "10.244.0.3");
        // 3 is taken; 2 and 4 to 254 are free.
        assert!((0..252).all(|_| addresses.take().is_ok()));
        assert!(addresses.take().is_err());
    }

    #[test]
    fn a_runtime_of_several_nodes_takes_from_all_their_networks() {
        let mut addresses = Addresses::default();
        for cidr in ["10.244.0.0/29", "10.244.1.0/29", "10.244.1.0/29"] {
            addresses.prefer(cidr.parse().unwrap());
        }
        let taken: Vec<_> = (0..10).map(|_| take(&mut addresses)).collect();
        assert_eq!((taken[0].as_str(), taken[4].as_str()), ("10.244.1.2", "10.244.1.6"));
        assert_eq!((taken[5].as_str(), taken[9].as_str()), ("10.244.0.2", "10.244.0.6"));
        assert!(addresses.take().is_err());
    }
}
