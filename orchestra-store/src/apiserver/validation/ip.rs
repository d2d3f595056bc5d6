//! IP addresses and ranges of them as Kubernetes reads them in its old fields (`apimachinery/pkg/util/validation/ip.go`): the numbers of an
//! IPv4 address may begin with zeros. What is not written as it should be is warned of.

use std::net::IpAddr;

use orchestra_core::container_runtime::Cidr;

use crate::apiserver::field::Path;

/// What is said of a text that is no address.
pub const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
/// What is said of a text that is no range.
pub const NOT_A_RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// The address, if it is one.
pub fn parse(text: &str) -> Option<IpAddr> {
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
pub fn parse_range(text: &str) -> Option<(Cidr, IpAddr)> {
    let (address, prefix) = text.split_once('/')?;
    let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
    let address = parse(address)?;
    Some((Cidr::new(address, prefix.parse().ok().filter(|_| is_number)?)?, address))
}

/// What is odd about how an address is written.
pub fn warning(path: &Path, text: &str) -> Option<String> {
    let address = parse(text)?;
    let canonical = address.to_canonical();
    let is_mapped = canonical != address;
    if is_mapped || text.parse::<IpAddr>().is_err() {
        let future = "will be considered invalid in a future Kubernetes release";
        return Some(format!("{path}: non-standard IP address {text:?} {future}: use \"{canonical}\""));
    }
    let is_odd = address.is_ipv6() && canonical.to_string() != text;
    is_odd.then(|| format!("{path}: IPv6 address {text:?} should be in RFC 5952 canonical format (\"{canonical}\")"))
}

/// What is odd about how a range is written.
pub fn range_warnings(path: &Path, text: &str) -> Vec<String> {
    let Some((range, address)) = parse_range(text) else { return Vec::new() };
    let mut warnings = Vec::new();
    if range.nth(0) != Some(address) {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let meant = format!("(should be \"{range}\" or \"{address}/{bits}\"?)");
        warnings.push(format!("{path}: CIDR value {text:?} is ambiguous in this context {meant}"));
    }
    let (written, prefix) = text.split_once('/').unwrap_or((text, ""));
    let is_mapped = address.to_canonical() != address;
    if is_mapped || written.parse::<IpAddr>().is_err() || (prefix.len() > 1 && prefix.starts_with('0')) {
        let future = "will be considered invalid in a future Kubernetes release";
        warnings.push(format!("{path}: non-standard CIDR value {text:?} {future}: use \"{range}\""));
    }
    if warnings.is_empty() && address.is_ipv6() && range.to_string() != text {
        warnings.push(format!("{path}: IPv6 CIDR value {text:?} should be in RFC 5952 canonical format (\"{range}\")"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_begin_with_zeros() {
        for (text, address) in [
            ("10.9.8.7", Some("10.9.8.7")),
            ("010.009.08.7", Some("10.9.8.7")),
            ("::ffff:1.2.3.04", Some("::ffff:1.2.3.4")),
            ("2001:DB8::1", Some("2001:db8::1")),
            ("10.9.8", None),
            ("10.9.8.256", None),
            ("10.9.8.+7", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(|address| address.to_string()).as_deref(), address, "{text}");
        }
        for (text, range) in [("10.9.08.0/24", Some("10.9.8.0/24")), ("10.9.8.7/+8", None), ("10.9.8.7/33", None)] {
            assert_eq!(parse_range(text).map(|(range, _)| range.to_string()).as_deref(), range, "{text}");
        }
    }

    #[test]
    fn odd_forms_are_told_with_the_right_ones() {
        let path = Path::new("ip");
        let future = "will be considered invalid in a future Kubernetes release";
        for (text, expected) in [
            ("10.9.8.7", None),
            ("2001:db8::1", None),
            ("010.9.8.7", Some(format!("ip: non-standard IP address \"010.9.8.7\" {future}: use \"10.9.8.7\""))),
            (
                "::ffff:1.2.3.4",
                Some(format!("ip: non-standard IP address \"::ffff:1.2.3.4\" {future}: use \"1.2.3.4\"")),
            ),
            (
                "2001:DB8::1",
                Some(
                    "ip: IPv6 address \"2001:DB8::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")"
                        .to_owned(),
                ),
            ),
        ] {
            assert_eq!(warning(&path, text), expected);
        }
        assert!(range_warnings(&path, "10.0.0.0/8").is_empty());
        assert_eq!(
            range_warnings(&path, "10.9.8.7/08"),
            [
                "ip: CIDR value \"10.9.8.7/08\" is ambiguous in this context (should be \"10.0.0.0/8\" or \"10.9.8.7/32\"?)",
                &format!("ip: non-standard CIDR value \"10.9.8.7/08\" {future}: use \"10.0.0.0/8\""),
            ]
        );
        assert_eq!(
            range_warnings(&path, "2001:DB8::/32"),
            ["ip: IPv6 CIDR value \"2001:DB8::/32\" should be in RFC 5952 canonical format (\"2001:db8::/32\")"]
        );
    }
}
