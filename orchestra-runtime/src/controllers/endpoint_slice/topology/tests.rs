use serde_json::{Value, json};

use super::*;

fn zones(shares: &[(&str, f64)]) -> Zones {
    Zones(shares.iter().map(|(zone, share)| ((*zone).to_owned(), *share)).collect())
}

fn halves() -> Zones {
    zones(&[("a", 0.5), ("b", 0.5)])
}

/// A slice with an endpoint in each of these zones, that is for that of `hints`.
fn slice(endpoints: &[(&str, Option<&str>)]) -> EndpointSlice {
    let endpoint = |(zone, hint): &(&str, Option<&str>)| {
        let hints = hint.map(|zone| json!({ "forZones": [{ "name": zone }] }));
        let zone = Some(*zone).filter(|zone| !zone.is_empty());
        json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true }, "zone": zone, "hints": hints })
    };
    let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
    serde_json::from_value(json!({ "metadata": {}, "addressType": "IPv4", "endpoints": endpoints, "ports": [] }))
        .unwrap()
}

/// For which zones the endpoints of slices are.
fn hints<'a>(slices: impl IntoIterator<Item = &'a EndpointSlice>) -> Vec<Option<String>> {
    let of = |endpoint: &Endpoint| Some(endpoint.hints.as_ref()?.for_zones.as_ref()?[0].name.clone());
    slices.into_iter().flat_map(endpoints).map(of).collect()
}

fn some(zones: &[&str]) -> Vec<Option<String>> {
    zones.iter().map(|zone| Some((*zone).to_owned())).collect()
}

#[test]
fn services_ask_by_either_annotation() {
    let service =
        |annotations: Value| serde_json::from_value(json!({ "metadata": { "annotations": annotations } })).unwrap();
    assert!(is_asked_for(&service(json!({ "service.kubernetes.io/topology-mode": "Auto" }))));
    assert!(is_asked_for(&service(json!({ "service.kubernetes.io/topology-aware-hints": "auto" }))));
    let [older, newer] = ANNOTATIONS;
    assert!(!is_asked_for(&service(json!({ older: "Disabled", newer: "Auto" }))));
    assert!(!is_asked_for(&service(json!({ newer: "PreferZone" }))));
    assert!(!is_asked_for(&service(Value::Null)));
}

#[test]
fn endpoints_are_for_their_own_zone_if_each_has_its_share() {
    let mut create = [slice(&[("a", None), ("b", None), ("a", None), ("b", None)])];
    hint(&halves(), &mut create, &mut Vec::new(), Vec::new()).unwrap();
    assert_eq!(hints(&create), some(&["a", "b", "a", "b"]));
}

#[test]
fn zones_with_too_many_give_to_those_with_too_few() {
    let mut create = [slice(&[("a", None), ("a", None), ("a", None), ("a", None)])];
    hint(&halves(), &mut create, &mut Vec::new(), Vec::new()).unwrap();
    assert_eq!(hints(&create), some(&["b", "b", "a", "a"]));
    let mut create = [slice(&[("a", None), ("b", None), ("c", None), ("c", None), ("c", None), ("c", None)])];
    let thirds = zones(&[("a", 1.0 / 3.0), ("b", 1.0 / 3.0), ("c", 1.0 / 3.0)]);
    hint(&thirds, &mut create, &mut Vec::new(), Vec::new()).unwrap();
    assert_eq!(hints(&create), some(&["a", "b", "a", "b", "c", "c"]));
}

#[test]
fn what_does_no_harm_stays_as_it_is() {
    let stays = Arc::new(slice(&[("a", Some("b")), ("a", Some("a"))]));
    let (mut create, mut update) = ([slice(&[("a", None), ("b", None)])], Vec::new());
    hint(&halves(), &mut create, &mut update, vec![Arc::clone(&stays)]).unwrap();
    assert_eq!((hints(&create), update.len()), (some(&["a", "b"]), 0));
    // Hints for a zone that is no more, and endpoints without.
    for changes in [slice(&[("a", Some("gone")), ("b", Some("b"))]), slice(&[("a", Some("a")), ("b", None)])] {
        let mut update = Vec::new();
        hint(&halves(), &mut [], &mut update, vec![Arc::clone(&stays), Arc::new(changes)]).unwrap();
        assert_eq!(hints(&update), some(&["a", "b"]));
    }
}

#[test]
fn too_many_for_one_zone_are_made_good() {
    let mut update = Vec::new();
    let all = [("a", Some("a")), ("a", Some("a")), ("a", Some("a")), ("b", Some("a"))];
    hint(&halves(), &mut [], &mut update, vec![Arc::new(slice(&all))]).unwrap();
    assert_eq!(hints(&update), some(&["b", "a", "a", "b"]));
}

#[test]
fn hints_go_when_there_can_be_none() {
    let hinted = Arc::new(slice(&[("a", Some("a"))]));
    let plain = Arc::new(slice(&[("a", None)]));
    let mut update = Vec::new();
    let why = hint(&Zones::default(), &mut [], &mut update, vec![hinted.clone(), plain]).unwrap_err();
    assert!(why.starts_with("Insufficient Node information"), "{why}");
    assert_eq!(hints(&update), [None]);
    let mut create = [slice(&[("", None), ("b", None)])];
    let why = hint(&halves(), &mut create, &mut Vec::new(), Vec::new()).unwrap_err();
    assert_eq!(why, "One or more endpoints do not have a zone specified");
    assert_eq!(hints(&create), [None, None]);
}

#[test]
fn it_is_told_once_that_there_are_hints_and_each_time_that_there_are_not() {
    let (told, web) = (Told::default(), ObjectKey::namespaced("default", "web"));
    let news = |outcome| told.news(&web, "IPv4", outcome).map(|(_, reason, message)| format!("{reason}: {message}"));
    assert_eq!(news(None), None);
    let enabled = "TopologyAwareHintsEnabled: Topology Aware Hints has been enabled, addressType: IPv4";
    assert_eq!(news(Some(Ok(()))).as_deref(), Some(enabled));
    assert_eq!(news(Some(Ok(()))), None);
    let disabled = "TopologyAwareHintsDisabled: Topology Aware Hints has been disabled, addressType: IPv4";
    assert_eq!(news(None).as_deref(), Some(disabled));
    let failed = "TopologyAwareHintsDisabled: no, addressType: IPv4";
    assert_eq!(news(Some(Err("no".to_owned()))).as_deref(), Some(failed));
    assert_eq!(news(Some(Err("no".to_owned()))).as_deref(), Some(failed));
}
