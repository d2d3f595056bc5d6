//! How many endpoints zones with too many give to those with too few.

use std::collections::BTreeMap;

use super::{Counts, allocation::Allocations};

/// How many each zone gives, and how many each receives. Nobody gives or receives less than half of one.
pub(super) fn transfers(Allocations(allocations): &Allocations, counts: &Counts) -> (Counts, Counts) {
    let (mut too_many, mut too_few) = (BTreeMap::new(), BTreeMap::new());
    for (zone, allocation) in allocations {
        let over = counts.get(zone).copied().unwrap_or_default() as f64 - allocation.desired;
        match over {
            over if over > 0.0 => drop(too_many.insert(zone, over)),
            over if over < 0.0 => drop(too_few.insert(zone, -over)),
            _ => {}
        }
    }
    let (mut giving, mut receiving) = (Counts::new(), Counts::new());
    while let (Some((giver, most)), Some((receiver, least))) = (largest(&mut too_many), largest(&mut too_few)) {
        if (*most < 1.0 && *least < 1.0) || *most < 0.5 || *least < 0.5 {
            break;
        }
        (*most, *least) = (*most - 1.0, *least - 1.0);
        *giving.entry(giver.clone()).or_default() += 1;
        *receiving.entry(receiver.clone()).or_default() += 1;
    }
    (giving, receiving)
}

/// The zone with the largest amount, the first of several.
fn largest<'a>(amounts: &'a mut BTreeMap<&String, f64>) -> Option<(&'a String, &'a mut f64)> {
    let mut all = amounts.iter_mut();
    let mut found = all.next()?;
    for other in all {
        if *other.1 > *found.1 {
            found = other;
        }
    }
    Some((found.0, found.1))
}
