//! IP addresses and ranges of them (`apimachinery/pkg/util/validation/ip.go`, with `StrictIPCIDRValidation` as in 1.36). Kubernetes once
//! took more, and says what is wrong with it now; what it takes though it is not written as it should be is warned of.

use std::net::IpAddr;

use orchestra_core::container_runtime::Cidr;

use crate::apiserver::field::{Error, Path};

const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An error unless `text` is an address.
pub fn error(path: &Path, text: &str) -> Option<Error> {
    let why = match parse(text) {
        None => NOT_AN_IP,
        Some(_) if text.parse::<IpAddr>().is_err() => "must not have leading 0s",
        Some(address) if is_mapped(address) => "must not be an IPv4-mapped IPv6 address",
        Some(_) => return None,
    };
    Some(Error::invalid(path, text, why))
}

/// An error unless `text` is a range.
pub fn range_error(path: &Path, text: &str) -> Option<Error> {
    let why = match parse_range(text) {
        None => NOT_A_RANGE,
        Some(_) if has_zeros(text) => "must not have leading 0s in IP or prefix length",
        Some((_, address)) if is_mapped(address) => "must not have an IPv4-mapped IPv6 address",
        Some((range, address)) if range.nth(0) != Some(address) => "must not have bits set beyond the prefix length",
        Some(_) => return None,
    };
    Some(Error::invalid(path, text, why))
}

/// An error if `text` is an address that nobody behind a Service can have (`ValidateEndpointIP`).
pub fn endpoint_error(path: &Path, text: &str) -> Option<Error> {
    let Some(address) = parse(text).map(|address| address.to_canonical()) else {
        return Some(Error::invalid(path, text, "must be a valid IP address"));
    };
    let (link_local, link_local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), matches!(address.octets(), [224, 0, 0, _])),
        IpAddr::V6(address) => (address.is_unicast_link_local(), address.segments()[0] & 0xff0f == 0xff02),
    };
    let why = match address {
        _ if address.is_unspecified() => format!("may not be unspecified ({text})"),
        _ if address.is_loopback() => "may not be in the loopback range (127.0.0.0/8, ::1/128)".to_owned(),
        _ if link_local => "may not be in the link-local range (169.254.0.0/16, fe80::/10)".to_owned(),
        _ if link_local_multicast => {
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".to_owned()
        }
        _ => return None,
    };
    Some(Error::invalid(path, text, why))
}

/// The address, if it is one, though the numbers of an IPv4 address may begin with zeros.
fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| without_zeros(text)?.parse().ok())
}

/// An IPv4 address, or an IPv6 one that ends with one, without the zeros at the front of its numbers.
fn without_zeros(text: &str) -> Option<String> {
    let (head, numbers) = text.split_at(text.rfind(':').map_or(0, |colon| colon + 1));
    let number = |text: &str| {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u8>().ok().filter(|_| is_number).map(|number| number.to_string())
    };
    let numbers: Option<Vec<String>> = numbers.split('.').map(number).collect();
    Some(format!("{head}{}", numbers?.join(".")))
}

/// The range, if it is one, and the address that stands for it.
fn parse_range(text: &str) -> Option<(Cidr, IpAddr)> {
    let (address, prefix) = text.split_once('/')?;
    let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let address = parse(address)?;
    Some((Cidr::new(address, prefix.parse().ok().filter(|_| is_number)?)?, address))
}

fn has_zeros(range: &str) -> bool {
    let (address, prefix) = range.split_once('/').unwrap_or((range, ""));
    address.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0'))
}

fn is_mapped(address: IpAddr) -> bool {
    address.to_canonical() != address
}

/// What is odd about how an address is written.
pub fn warning(path: &Path, text: &str) -> Option<String> {
    let address = parse(text)?;
    let canonical = address.to_canonical();
    if is_mapped(address) || text.parse::<IpAddr>().is_err() {
        return Some(format!("{path}: non-standard IP address {text:?} is invalid: use \"{canonical}\""));
    }
    let is_odd = address.is_ipv6() && canonical.to_string() != text;
    is_odd.then(|| format!("{path}: IPv6 address {text:?} should be in RFC 5952 canonical format (\"{canonical}\")"))
}

/// What is odd about how a range is written.
pub fn range_warning(path: &Path, text: &str) -> Option<String> {
    let (range, address) = parse_range(text)?;
    let is_odd = address.is_ipv6() && range_error(path, text).is_none() && range.to_string() != text;
    is_odd.then(|| format!("{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format (\"{range}\")"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_without_zeros_and_families_are_not_mixed() {
        for (text, why) in [
            ("10.9.8.7", None),
            ("2001:DB8::1", None),
            ("010.009.08.7", Some("must not have leading 0s")),
            ("::ffff:1.2.3.04", Some("must not have leading 0s")),
            ("::ffff:1.2.3.4", Some("must not be an IPv4-mapped IPv6 address")),
            ("10.9.8", Some(NOT_AN_IP)),
            ("10.9.8.256", Some(NOT_AN_IP)),
            ("10.9.8.+7", Some(NOT_AN_IP)),
            ("", Some(NOT_AN_IP)),
        ] {
            let path = Path::new("ip");
            assert_eq!(error(&path, text), why.map(|why| Error::invalid(&path, text, why)), "{text}");
        }
    }

    #[test]
    fn ranges_begin_where_their_prefix_ends() {
        for (text, why) in [
            ("10.0.0.0/8", None),
            ("2001:DB8::/32", None),
            ("10.9.08.0/24", Some("must not have leading 0s in IP or prefix length")),
            ("10.0.0.0/08", Some("must not have leading 0s in IP or prefix length")),
            ("::ffff:10.0.0.0/104", Some("must not have an IPv4-mapped IPv6 address")),
            ("10.9.8.7/8", Some("must not have bits set beyond the prefix length")),
            ("10.9.8.7/+8", Some(NOT_A_RANGE)),
            ("10.9.8.7/33", Some(NOT_A_RANGE)),
        ] {
            let path = Path::new("range");
            assert_eq!(range_error(&path, text), why.map(|why| Error::invalid(&path, text, why)), "{text}");
        }
    }

    #[test]
    fn odd_forms_are_told_with_the_right_ones() {
        let path = Path::new("ip");
        for (text, expected) in [
            ("10.9.8.7", None),
            ("2001:db8::1", None),
            ("010.9.8.7", Some("ip: non-standard IP address \"010.9.8.7\" is invalid: use \"10.9.8.7\"")),
            ("::ffff:1.2.3.4", Some("ip: non-standard IP address \"::ffff:1.2.3.4\" is invalid: use \"1.2.3.4\"")),
            (
                "2001:DB8::1",
                Some("ip: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")"),
            ),
        ] {
            assert_eq!(warning(&path, text).as_deref(), expected);
        }
        assert_eq!(range_warning(&path, "2001:db8::/32"), None);
        assert_eq!(
            range_warning(&path, "2001:DB8::/32").as_deref(),
            Some("ip: IPv6 CIDR value \"2001:DB8::/32\" should be in RFC 5952 canonical format (\"2001:db8::/32\")")
        );
    }
}
