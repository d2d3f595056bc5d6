//! Labels and annotations in one allocation: a `BTreeMap` of strings takes ten times the room for a handful of entries.

use std::collections::BTreeMap;

use orchestra_core::container_runtime::labels;

/// Names that nearly everything has: kept as their place here.
const KNOWN: [&str; 4] = [labels::POD_NAME, labels::POD_NAMESPACE, labels::POD_UID, labels::CONTAINER_NAME];

/// Pairs, each text preceded by its length, or `k` and its place among the known names.
#[derive(Debug, Default)]
pub(super) struct Compact(Box<str>);

impl Compact {
    pub(super) fn new(pairs: &BTreeMap<String, String>) -> Self {
        let mut text = String::new();
        for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
            match KNOWN.iter().position(|known| known == part) {
                Some(place) => text.push_str(&format!("k{place}:")),
                None => text.push_str(&format!("{}:{part}", part.len())),
            }
        }
        Self(text.into_boxed_str())
    }

    pub(super) fn expand(&self) -> BTreeMap<String, String> {
        let mut rest = &*self.0;
        let mut pairs = BTreeMap::new();
        while let (Some(name), Some(value)) = (take(&mut rest), take(&mut rest)) {
            pairs.insert(name.to_owned(), value.to_owned());
        }
        pairs
    }
}

fn take<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (length, text) = rest.split_once(':')?;
    if let Some(place) = length.strip_prefix('k') {
        *rest = text;
        return KNOWN.get(place.parse::<usize>().ok()?).copied();
    }
    let (part, after) = text.split_at_checked(length.parse().ok()?)?;
    *rest = after;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for pairs in [
            vec![],
            vec![("a", "")],
            vec![("", "1:2"), ("ä:", "x"), ("io.kubernetes.pod.name", "p"), ("k1:", "io.kubernetes.pod.uid")],
        ] {
            let pairs: BTreeMap<String, String> =
                pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(Compact::new(&pairs).expand(), pairs);
        }
    }
}
