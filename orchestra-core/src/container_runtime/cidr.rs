use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// A range of IP addresses, as `10.244.1.0/24`.
///
/// ```
/// use orchestra_core::container_runtime::Cidr;
/// let cidr: Cidr = "10.244.1.7/24".parse().unwrap();
/// assert_eq!(cidr.to_string(), "10.244.1.0/24");
/// assert_eq!(cidr.nth(9).unwrap().to_string(), "10.244.1.9");
/// assert_eq!(cidr.nth(256), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    first: IpAddr,
    prefix: u8,
}

/// A text is no range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct CidrError(String);

impl Cidr {
    /// The range that holds `address` and all that begin with the same `prefix` bits; `None` if an address has not so many.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let first = match address {
            IpAddr::V4(address) => {
                let rest = 32_u8.checked_sub(prefix)?;
                Ipv4Addr::from_bits(address.to_bits() & u32::MAX.checked_shl(rest.into()).unwrap_or(0)).into()
            }
            IpAddr::V6(address) => {
                let rest = 128_u8.checked_sub(prefix)?;
                Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(rest.into()).unwrap_or(0)).into()
            }
        };
        Some(Self { first, prefix })
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// With how many bits all addresses begin alike.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` is one of them; none of the other family is.
    ///
    /// ```
    /// # use orchestra_core::container_runtime::Cidr;
    /// let cidr: Cidr = "10.244.1.0/24".parse().unwrap();
    /// assert!(cidr.contains([10, 244, 1, 7].into()));
    /// assert!(!cidr.contains([10, 244, 2, 7].into()));
    /// ```
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4()
            && Self::new(address, self.prefix).is_some_and(|range| range.first == self.first)
    }

    /// How many addresses there are, at most as many as fit.
    pub fn size(&self) -> u64 {
        let bits = if self.first.is_ipv4() { 32 } else { 128 };
        1_u64.checked_shl(bits - u32::from(self.prefix)).unwrap_or(u64::MAX)
    }

    /// The address with this number, counted from zero.
    pub fn nth(&self, number: u64) -> Option<IpAddr> {
        if number >= self.size() {
            return None;
        }
        Some(match self.first {
            IpAddr::V4(first) => Ipv4Addr::from_bits(first.to_bits() | u32::try_from(number).ok()?).into(),
            IpAddr::V6(first) => Ipv6Addr::from_bits(first.to_bits() | u128::from(number)).into(),
        })
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            Self::new(address.parse().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| CidrError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_both_families_and_all_sizes_are_counted() {
        let last = |text: &str| {
            let cidr: Cidr = text.parse().unwrap();
            cidr.nth(cidr.size() - 1).map(|address| address.to_string())
        };
        assert_eq!(last("10.244.1.0/24").as_deref(), Some("10.244.1.255"));
        assert_eq!(last("10.244.1.9/32").as_deref(), Some("10.244.1.9"));
        assert_eq!(last("1.2.3.4/0").as_deref(), Some("255.255.255.255"));
        assert_eq!(last("fd00::7/120").as_deref(), Some("fd00::ff"));
        for text in ["", "10.244.0.0", "10.244.0.0/33", "fd00::/129", "10.244.0.0/-1", "x/24"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError(text.to_owned())));
        }
    }
}
