//! Lists with a most size. Of one that is longer nothing else is said.

use crate::apiserver::field::{Error, Errors, Path, Shown};

/// Checks each item.
pub(in super::super) fn each<T>(
    items: Option<&[T]>,
    max: usize,
    path: &Path,
    mut check: impl FnMut(&T, &Path) -> Errors,
) -> Errors {
    let items = items.unwrap_or_default();
    if items.len() > max {
        return vec![Error::too_many(path, items.len(), max)];
    }
    items.iter().enumerate().flat_map(|(index, item)| check(item, &path.index(index))).collect()
}

/// The same, and that no two have the same key.
pub(in super::super) fn set<T, K: PartialEq + Clone + Into<Shown>>(
    items: Option<&[T]>,
    max: usize,
    path: &Path,
    key: impl Fn(&T) -> K,
    check: impl FnMut(&T, &Path) -> Errors,
) -> Errors {
    let mut errors = each(items, max, path, check);
    let items = items.unwrap_or_default();
    if items.len() > max {
        return errors;
    }
    let keys: Vec<K> = items.iter().map(key).collect();
    for (index, key) in keys.iter().enumerate() {
        if keys[..index].contains(key) {
            errors.push(Error::duplicate(&path.index(index), key.clone()));
        }
    }
    errors
}
