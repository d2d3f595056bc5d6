//! Puts endpoints into slices so that few slices change: whoever watches them is told of each that does.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

/// The most endpoints of a slice (`--max-endpoints-per-slice`).
pub(in crate::controllers) const MAX_ENDPOINTS: usize = 100;

/// What makes two endpoints the same one: addresses, hostname, and namespace and name of the object behind it.
pub(in crate::controllers) type Identity = (Vec<String>, String, String, String);

/// Who an endpoint is, whatever its state.
pub(in crate::controllers) fn identity(endpoint: &Endpoint) -> Identity {
    let mut addresses = endpoint.addresses.clone();
    addresses.sort_unstable();
    let target = endpoint.target_ref.as_ref();
    let namespace = target.and_then(|target| target.namespace.clone()).unwrap_or_default();
    let name = target.and_then(|target| target.name.clone()).unwrap_or_default();
    (addresses, endpoint.hostname.clone().unwrap_or_default(), namespace, name)
}

/// What makes two sets of ports the same one, in whatever order they stand.
pub(in crate::controllers) fn port_key(ports: &[EndpointPort]) -> String {
    // Serialising to a string cannot fail, and a debug form would do as well.
    let mut texts: Vec<String> = ports.iter().map(|port| serde_json::to_string(port).unwrap_or_default()).collect();
    texts.sort_unstable();
    texts.join(",")
}

/// Whether two states of one endpoint tell the same, hints aside.
fn same_state(a: &Endpoint, b: &Endpoint) -> bool {
    let target = |endpoint: &Endpoint| {
        let mut target = endpoint.target_ref.clone()?;
        target.resource_version = None;
        Some(target)
    };
    a.node_name == b.node_name && a.zone == b.zone && a.conditions == b.conditions && target(a) == target(b)
}

/// What becomes of the slices of one set of ports.
#[derive(Debug, Default)]
pub(in crate::controllers) struct Packed {
    /// Endpoints of slices that are to be made.
    pub(in crate::controllers) created: Vec<Vec<Endpoint>>,
    /// Slices with other endpoints or labels than they had.
    pub(in crate::controllers) updated: Vec<EndpointSlice>,
    pub(in crate::controllers) deleted: Vec<Arc<EndpointSlice>>,
    pub(in crate::controllers) unchanged: Vec<Arc<EndpointSlice>>,
}

/// Puts `wanted` into the `existing` slices and as many new ones as it takes, `max` into each at most.
///
/// What is in a slice stays there; what a slice that changes anyway has room for is put there; what is left goes into the one
/// unchanged slice that it fills best, or into new ones. Slices are never evened out, so that they may become sparse: as
/// Kubernetes', this prefers few changes to few slices.
pub(in crate::controllers) fn pack(
    existing: &[Arc<EndpointSlice>],
    mut wanted: BTreeMap<Identity, Endpoint>,
    labels: &BTreeMap<String, String>,
    max: usize,
) -> Packed {
    let mut packed = keep(existing, &mut wanted, labels);
    packed.updated.sort_by_key(|slice| Reverse(slice.endpoints.as_ref().map_or(0, Vec::len)));
    for slice in &mut packed.updated {
        fill(slice.endpoints.get_or_insert_default(), &mut wanted, max);
    }
    while !wanted.is_empty() {
        match roomiest_fit(&packed.unchanged, wanted.len(), max) {
            Some(index) => {
                let mut slice = EndpointSlice::clone(&packed.unchanged.remove(index));
                fill(slice.endpoints.get_or_insert_default(), &mut wanted, max);
                packed.updated.push(slice);
            }
            None => {
                let mut endpoints = Vec::new();
                fill(&mut endpoints, &mut wanted, max);
                packed.created.push(endpoints);
            }
        }
    }
    packed
}

/// Keeps of the existing slices what is wanted, in its wanted state, and takes it from `wanted`.
fn keep(
    existing: &[Arc<EndpointSlice>],
    wanted: &mut BTreeMap<Identity, Endpoint>,
    labels: &BTreeMap<String, String>,
) -> Packed {
    let mut packed = Packed::default();
    for slice in existing {
        let before = slice.endpoints.as_deref().unwrap_or_default();
        let mut changed = false;
        let mut kept = Vec::with_capacity(before.len());
        for endpoint in before {
            match wanted.remove(&identity(endpoint)) {
                Some(found) => {
                    changed |= !same_state(&found, endpoint);
                    kept.push(found);
                }
                None => changed = true,
            }
        }
        let relabelled = slice.metadata.labels.as_ref() != Some(labels);
        if changed && kept.is_empty() {
            packed.deleted.push(Arc::clone(slice));
        } else if changed || relabelled {
            let mut slice = EndpointSlice::clone(slice);
            if changed {
                slice.endpoints = Some(kept);
            }
            slice.metadata.labels = Some(labels.clone());
            packed.updated.push(slice);
        } else {
            packed.unchanged.push(Arc::clone(slice));
        }
    }
    packed
}

/// Moves endpoints into a slice until it is full.
fn fill(endpoints: &mut Vec<Endpoint>, wanted: &mut BTreeMap<Identity, Endpoint>, max: usize) {
    while endpoints.len() < max
        && let Some((_, endpoint)) = wanted.pop_first()
    {
        endpoints.push(endpoint);
    }
}

/// The slice that `count` more endpoints fit into and fill best.
fn roomiest_fit(slices: &[Arc<EndpointSlice>], count: usize, max: usize) -> Option<usize> {
    if count >= max {
        return None;
    }
    let fits = slices.iter().enumerate().filter_map(|(index, slice)| {
        let left = max.checked_sub(count + slice.endpoints.as_ref().map_or(0, Vec::len))?;
        Some((left, index))
    });
    fits.min().map(|(_, index)| index)
}

#[cfg(test)]
mod tests {
    use orchestra_core::random::Generator;
    use serde_json::json;

    use super::*;

    fn endpoint(number: usize) -> Endpoint {
        serde_json::from_value(json!({
            "addresses": [format!("10.0.{}.{}", number / 256, number % 256)],
            "targetRef": {"kind": "Pod", "namespace": "default", "name": format!("p{number}")},
        }))
        .unwrap()
    }

    fn wanted(numbers: impl IntoIterator<Item = usize>) -> BTreeMap<Identity, Endpoint> {
        numbers.into_iter().map(endpoint).map(|endpoint| (identity(&endpoint), endpoint)).collect()
    }

    fn labels() -> BTreeMap<String, String> {
        BTreeMap::from([("a".to_owned(), "b".to_owned())])
    }

    fn slice(name: usize, endpoints: Vec<Endpoint>) -> Arc<EndpointSlice> {
        let mut slice = EndpointSlice { endpoints: Some(endpoints), ..EndpointSlice::default() };
        slice.metadata.name = Some(format!("s{name}"));
        slice.metadata.labels = Some(labels());
        Arc::new(slice)
    }

    fn names(slices: &[EndpointSlice]) -> Vec<&str> {
        slices.iter().filter_map(|slice| slice.metadata.name.as_deref()).collect()
    }

    /// The slices after the plan was carried out; `next` counts the names.
    fn carried_out(packed: Packed, next: &mut usize) -> Vec<Arc<EndpointSlice>> {
        let created = packed.created.into_iter().map(|endpoints| {
            *next += 1;
            slice(*next, endpoints)
        });
        packed.unchanged.into_iter().chain(packed.updated.into_iter().map(Arc::new)).chain(created).collect()
    }

    fn held(slices: &[Arc<EndpointSlice>]) -> Vec<Identity> {
        let mut held: Vec<_> = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten().map(identity)).collect();
        held.sort();
        held
    }

    #[test]
    fn whatever_comes_and_goes_each_endpoint_is_in_one_slice() {
        let generator = Generator::seeded(7);
        let below = |bound: usize| usize::try_from(generator.below(bound as u64)).unwrap();
        let (mut slices, mut next) = (Vec::new(), 0);
        for round in 0..200 {
            let (first, count) = (below(40), below(60));
            let set = wanted(first..first + count);
            let expected: Vec<_> = set.keys().cloned().collect();
            let missing = expected.iter().filter(|id| !held(&slices).contains(id)).count();
            let packed = pack(&slices, set.clone(), &labels(), 10);
            assert!(packed.created.len() <= missing.div_ceil(10), "round {round} makes more slices than it needs");
            slices = carried_out(packed, &mut next);
            assert_eq!(held(&slices), expected, "round {round}");
            assert!(slices.iter().all(|slice| (1..=10).contains(&slice.endpoints.as_ref().map_or(0, Vec::len))));
            let again = pack(&slices, set, &labels(), 10);
            assert_eq!((again.created.len(), again.updated.len(), again.deleted.len()), (0, 0, 0), "round {round}");
        }
    }

    #[test]
    fn one_that_comes_or_goes_changes_one_slice() {
        let full = slice(1, (0..10).map(endpoint).collect());
        let half = slice(2, (10..15).map(endpoint).collect());
        let least = slice(3, vec![endpoint(15)]);
        let existing = [full, half, least];
        let more = pack(&existing, wanted(0..17), &labels(), 10);
        assert_eq!((names(&more.updated), more.created.len(), more.deleted.len()), (vec!["s2"], 0, 0));
        let less = pack(&existing, wanted(1..16), &labels(), 10);
        assert_eq!((names(&less.updated), less.created.len(), less.deleted.len()), (vec!["s1"], 0, 0));
        let swapped = pack(&existing, wanted((1..16).chain([20])), &labels(), 10);
        assert_eq!(
            (names(&swapped.updated), swapped.created.len()),
            (vec!["s1"], 0),
            "a pod that takes another's place"
        );
        let empty = pack(&existing, wanted(0..15), &labels(), 10);
        assert_eq!((empty.deleted.len(), empty.updated.len()), (1, 0));
    }

    #[test]
    fn what_does_not_fit_into_one_slice_goes_into_new_ones() {
        let existing = [slice(1, (0..8).map(endpoint).collect()), slice(2, (8..16).map(endpoint).collect())];
        let packed = pack(&existing, wanted(0..19), &labels(), 10);
        assert_eq!((packed.updated.len(), packed.created.len()), (0, 1));
        assert_eq!(packed.created[0].len(), 3);
    }

    #[test]
    fn labels_and_states_that_differ_are_written() {
        let existing = [slice(1, vec![endpoint(0)])];
        let other = BTreeMap::from([("c".to_owned(), "d".to_owned())]);
        let packed = pack(&existing, wanted(0..1), &other, 10);
        assert_eq!(packed.updated[0].metadata.labels, Some(other));
        let mut moved = endpoint(0);
        moved.zone = Some("z".to_owned());
        let packed = pack(&existing, BTreeMap::from([(identity(&moved), moved)]), &labels(), 10);
        assert_eq!(packed.updated[0].endpoints.as_ref().unwrap()[0].zone.as_deref(), Some("z"));
    }

    #[test]
    fn the_order_of_ports_does_not_matter() {
        let port = |number| EndpointPort { port: Some(number), ..EndpointPort::default() };
        assert_eq!(port_key(&[port(1), port(2)]), port_key(&[port(2), port(1)]));
        assert_ne!(port_key(&[port(1)]), port_key(&[port(2)]));
    }
}
