//! How many endpoints each zone is to have.

use std::collections::BTreeMap;

use super::{Counts, zones::Zones};

/// By how much more than its share an endpoint may get.
const OVERLOAD: f64 = 0.2;

/// Of one zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Allocation {
    pub(super) desired: f64,
    /// With more, another zone would have too few.
    pub(super) maximum: usize,
}

/// Of all zones that count.
#[derive(Debug)]
pub(super) struct Allocations(pub(super) BTreeMap<String, Allocation>);

impl Allocations {
    /// For so many endpoints that are ready. The error tells why there can be none.
    pub(super) fn of(Zones(zones): &Zones, endpoints: usize) -> Result<Self, String> {
        if zones.is_empty() {
            let why = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes";
            return Err(why.to_owned());
        }
        let counted = format!("({endpoints} endpoints, {} zones)", zones.len());
        if zones.len() > endpoints {
            return Err(format!("Insufficient number of endpoints {counted}"));
        }
        let desired = |share: f64| share * endpoints as f64;
        // Neither is negative, nor more than there are endpoints and one.
        let minimum = |share: f64| (desired(share) / (1.0 + OVERLOAD)).ceil() as usize;
        let least: usize = zones.values().map(|share| minimum(*share)).sum();
        let Some(spare) = endpoints.checked_sub(least) else {
            let why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold";
            return Err(format!("{why} {counted}"));
        };
        let allocation = |share: f64| Allocation {
            desired: desired(share).max(minimum(share) as f64),
            maximum: minimum(share) + spare,
        };
        Ok(Self(zones.iter().map(|(zone, share)| (zone.clone(), allocation(*share))).collect()))
    }

    /// Whether zones may have `more` beside what they have.
    pub(super) fn allow(&self, counts: &Counts, more: &Counts) -> bool {
        more.iter().all(|(zone, more)| {
            let has = counts.get(zone).copied().unwrap_or_default();
            self.0.get(zone).is_some_and(|allocation| has + more <= allocation.maximum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shares: &[f64], endpoints: usize) -> Result<Vec<(f64, usize)>, String> {
        let zones = shares.iter().enumerate().map(|(number, share)| (number.to_string(), *share)).collect();
        let allocations = Allocations::of(&Zones(zones), endpoints)?.0;
        Ok(allocations.into_values().map(|allocation| (allocation.desired, allocation.maximum)).collect())
    }

    #[test]
    fn zones_have_endpoints_by_their_shares() {
        assert_eq!(of(&[0.5, 0.5], 4), Ok(vec![(2.0, 2), (2.0, 2)]));
        assert_eq!(of(&[0.5, 0.5], 7), Ok(vec![(3.5, 4), (3.5, 4)]));
        assert_eq!(of(&[0.25, 0.75], 12), Ok(vec![(3.0, 4), (9.0, 9)]));
    }

    #[test]
    fn what_would_overload_endpoints_is_not_done() {
        assert_eq!(of(&[0.5, 0.5], 1).unwrap_err(), "Insufficient number of endpoints (1 endpoints, 2 zones)");
        let why = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold (3 endpoints, 2 zones)";
        assert_eq!(of(&[0.5, 0.5], 3).unwrap_err(), why);
        assert!(of(&[], 9).unwrap_err().starts_with("Insufficient Node information: "));
    }
}
