//! Counters that devices share.

use std::collections::BTreeMap;

use k8s_openapi::api::resource::v1::{Counter, CounterSet, DeviceCounterConsumption};

use super::super::device::label;
use crate::apiserver::field::{Error, Errors, Path};

const MAX_COUNTERS: usize = 32;

pub(super) fn shared(set: &CounterSet, path: &Path) -> Errors {
    named(&set.name, &path.child("name"), &set.counters, &path.child("counters"))
}

pub(super) fn consumed(consumption: &DeviceCounterConsumption, path: &Path) -> Errors {
    named(&consumption.counter_set, &path.child("counterSet"), &consumption.counters, &path.child("counters"))
}

fn named(name: &str, name_path: &Path, counters: &BTreeMap<String, Counter>, path: &Path) -> Errors {
    let mut errors: Errors = label(name, name_path).into_iter().collect();
    match counters.len() {
        0 => errors.push(Error::required(path, "")),
        count if count > MAX_COUNTERS => errors.push(Error::too_many(path, count, MAX_COUNTERS)),
        _ => errors.extend(counters.keys().filter_map(|counter| label(counter, path))),
    }
    errors
}
