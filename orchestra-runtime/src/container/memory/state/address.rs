use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use orchestra_core::container_runtime::RuntimeError;

/// The addresses of pods on one node: `10.244.0.0/24` for the first runtime, `10.244.1.0/24` for the second, and so on.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    used: BTreeSet<u8>,
    last: u8,
}

impl Addresses {
    /// The last number of a free address; they are taken in turn, so that one that was just given back rests.
    pub(super) fn take(&mut self) -> Result<u8, RuntimeError> {
        for _ in 0..=u8::MAX {
            self.last = if self.last >= 254 { 2 } else { self.last.max(1) + 1 };
            if self.used.insert(self.last) {
                return Ok(self.last);
            }
        }
        Err(RuntimeError::Failed("no IP addresses available in the pod network of the node".to_owned()))
    }

    /// Gives an address back.
    pub(super) fn release(&mut self, host: u8) {
        self.used.remove(&host);
    }
}

/// The address with the last number `host` of the runtime with this index.
pub(super) fn address(index: u16, host: u8) -> IpAddr {
    let [second, third] = 0xf400_u16.wrapping_add(index).to_be_bytes();
    Ipv4Addr::new(10, second, third, host).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_turn_until_none_is_left() {
        let mut addresses = Addresses::default();
        assert_eq!(addresses.take().unwrap(), 2);
        addresses.release(2);
        assert_eq!(addresses.take().unwrap(), 3);
        // 3 is taken; 2 and 4 to 254 are free.
        assert!((0..252).all(|_| addresses.take().is_ok()));
        assert!(addresses.take().is_err());
        assert_eq!(address(257, 9).to_string(), "10.245.1.9");
    }
}
