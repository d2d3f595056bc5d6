//! The networks that services get their addresses from (`--service-cluster-ip-range`).

use std::net::IpAddr;

use orchestra_core::{container_runtime::Cidr, random::Generator};

/// One network, or two of different families for services with addresses of both. The family of the first is that of services which
/// ask for none.
///
/// ```
/// use orchestra_store::apiserver::kinds::service::ServiceRanges;
/// let ranges = ServiceRanges::dual("10.0.0.0/16".parse().unwrap(), "fd00::/112".parse().unwrap()).unwrap();
/// assert_eq!(ranges.first_address().to_string(), "10.0.0.1");
/// assert!(ServiceRanges::dual("10.0.0.0/16".parse().unwrap(), "10.1.0.0/16".parse().unwrap()).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRanges {
    first: Cidr,
    second: Option<Cidr>,
}

impl Default for ServiceRanges {
    /// `10.96.0.0/12`.
    fn default() -> Self {
        // An IPv4 address has more than twelve bits.
        Self::single(Cidr::new(IpAddr::from([10, 96, 0, 0]), 12).expect("a range"))
    }
}

impl ServiceRanges {
    /// Services have addresses of one family.
    pub fn single(range: Cidr) -> Self {
        Self { first: range, second: None }
    }

    /// Services may have addresses of both families; `None` if both ranges are of one.
    pub fn dual(first: Cidr, second: Cidr) -> Option<Self> {
        let differ = Family::of_range(&first) != Family::of_range(&second);
        differ.then_some(Self { first, second: Some(second) })
    }

    /// The address of the Service `kubernetes`, which is how containers reach the API server.
    pub fn first_address(&self) -> IpAddr {
        self.first.nth(1).unwrap_or_else(|| self.first.first())
    }

    /// The family of services which ask for none.
    pub(super) fn default_family(&self) -> Family {
        Family::of_range(&self.first)
    }

    pub(super) fn is_dual(&self) -> bool {
        self.second.is_some()
    }

    /// The network of a family.
    pub(super) fn of(&self, family: Family) -> Option<Cidr> {
        [Some(self.first), self.second].into_iter().flatten().find(|range| Family::of_range(range) == family)
    }

    /// Whether a Service may have this address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.of(Family::of(address)).is_some_and(|range| {
            let last = range.nth(range.size() - 1).filter(|_| address.is_ipv4());
            range.contains(address) && address != range.first() && Some(address) != last
        })
    }

    /// An address of the family for which `is_free` holds, from the upper part of the network where there is one: the lower part is left
    /// to those who ask for an address (KEP-3070). `None` if there is none.
    pub(super) fn draw(
        &self,
        family: Family,
        generator: &Generator,
        is_free: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let range = self.of(family)?;
        // Neither the network's own address nor, of IPv4, the one that stands for all of them.
        let usable = range.size().saturating_sub(if family == Family::V4 { 2 } else { 1 });
        let address = |number: u64| range.nth(number + 1);
        let number = draw(usable, reserved(range.size(), 16, 16, 256), generator, |number| {
            address(number).is_some_and(&is_free)
        })?;
        address(number)
    }
}

/// A family of addresses, as `spec.ipFamilies` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::V4, Self::V6].into_iter().find(|family| family.name() == name)
    }

    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    fn of_range(range: &Cidr) -> Self {
        Self::of(range.first())
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::V4 => Self::V6,
            Self::V6 => Self::V4,
        }
    }
}

/// How many of `size` numbers are left to those who ask for one: one of `step`, in bounds; none of a few.
pub(super) fn reserved(size: u64, step: u64, min: u64, max: u64) -> u64 {
    if size <= min { 0 } else { (size / step).clamp(min, max) }
}

/// A number below `count` that is free, from `reserved` on if there is one. Begins anywhere and goes on from there, so that it ends after
/// as many steps as numbers are taken.
pub(super) fn draw(count: u64, reserved: u64, generator: &Generator, is_free: impl Fn(u64) -> bool) -> Option<u64> {
    let bands = [(reserved.min(count), count), (0, reserved.min(count))];
    bands.into_iter().filter(|(start, end)| start < end).find_map(|(start, end)| {
        let size = end - start;
        let first = generator.below(size);
        (0..size).map(|step| start + (first + step) % size).find(|number| is_free(*number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_band_is_drawn_from_when_the_upper_is_full() {
        assert_eq!([16, 100, 1 << 20].map(|size| reserved(size, 16, 16, 256)), [0, 16, 256]);
        let generator = Generator::seeded(1);
        let high = (0..50).map(|_| draw(100, 16, &generator, |_| true).unwrap());
        assert!(high.into_iter().all(|number| number >= 16));
        assert!(draw(100, 16, &generator, |number| number < 16).is_some_and(|number| number < 16));
        assert_eq!(draw(100, 16, &generator, |number| number == 42), Some(42));
        assert_eq!(draw(100, 16, &generator, |_| false), None);
    }

    #[test]
    fn the_first_address_and_the_last_are_nobodys() {
        let ranges = ServiceRanges::single("10.0.0.0/29".parse().unwrap());
        let has = |text: &str| ranges.has(text.parse().unwrap());
        assert!(has("10.0.0.1") && has("10.0.0.6"));
        assert!(!has("10.0.0.0") && !has("10.0.0.7") && !has("10.0.0.8") && !has("fd00::1"));
        let six = ServiceRanges::single("fd00::/125".parse().unwrap());
        assert!(six.has("fd00::7".parse().unwrap()) && !six.has("fd00::".parse().unwrap()));
        let drawn: std::collections::BTreeSet<_> =
            (0..200).filter_map(|seed| six.draw(Family::V6, &Generator::seeded(seed), |_| true)).collect();
        assert_eq!(drawn.len(), 7);
        assert!(six.draw(Family::V4, &Generator::seeded(1), |_| true).is_none());
    }
}
