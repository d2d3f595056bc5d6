//! How rules tell the traffic of the cluster's pods from other traffic.

use orchestra_core::container_runtime::Cidr;

use super::super::{Family, LocalTraffic};

/// The condition that a packet comes from a pod; `None` if nobody knows.
pub(super) fn if_local(family: Family, traffic: &LocalTraffic) -> Option<String> {
    condition(family, traffic, "")
}

/// The condition that a packet does not come from a pod; `None` if nobody knows.
pub(super) fn if_not_local(family: Family, traffic: &LocalTraffic) -> Option<String> {
    condition(family, traffic, "!= ")
}

fn condition(family: Family, traffic: &LocalTraffic, not: &str) -> Option<String> {
    match traffic {
        LocalTraffic::Unknown => None,
        LocalTraffic::PodCidrs(ranges) => {
            let ranges = in_family(ranges, family);
            (!ranges.is_empty()).then(|| format!("{family} saddr {not}{{ {ranges} }}"))
        }
        LocalTraffic::Bridge(name) => Some(format!("iifname {not}\"{}\"", plain(name))),
        LocalTraffic::InterfacePrefix(prefix) => Some(format!("iifname {not}\"{}*\"", plain(prefix))),
    }
}

/// The ranges of `family`, as the members of a set.
pub(super) fn in_family(ranges: &[Cidr], family: Family) -> String {
    let ranges = ranges.iter().filter(|range| Family::of(range.first()) == family);
    ranges.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Interfaces have names without quotes and backslashes; what has them is no name and matches nothing.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '*')).collect()
}
