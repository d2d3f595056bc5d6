use std::{collections::BTreeMap, fmt};

use crate::selector::label::Labels;

/// The labels of a pod, in little memory: there are many pods, and their labels are looked at often.
///
/// ```
/// use std::collections::BTreeMap;
/// use orchestra_core::scheduler::PodLabels;
/// let labels = PodLabels::from(&BTreeMap::from([("app".to_owned(), "web".to_owned())]));
/// assert_eq!(labels.get("app"), Some("web"));
/// assert_eq!(labels.iter().collect::<Vec<_>>(), [("app", "web")]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PodLabels {
    /// Keys and values, one after the other.
    text: Box<str>,
    /// Where each of them ends.
    ends: Box<[u32]>,
}

impl PodLabels {
    /// The value of the label `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(other, value)| (other == key).then_some(value))
    }

    /// Keys and values, by key in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        let mut next = move |end: &u32| {
            let part = self.text.get(start..*end as usize).unwrap_or_default();
            start = *end as usize;
            part
        };
        self.ends.chunks_exact(2).filter_map(move |ends| match ends {
            [key, value] => Some((next(key), next(value))),
            _ => None,
        })
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl From<&BTreeMap<String, String>> for PodLabels {
    fn from(labels: &BTreeMap<String, String>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::with_capacity(2 * labels.len()));
        for (key, value) in labels {
            // An object has a few MB at most; what comes after 4 GB of labels is left out.
            let end = |length: usize| u32::try_from(text.len() + length).ok();
            let (Some(of_key), Some(of_value)) = (end(key.len()), end(key.len() + value.len())) else { break };
            text.push_str(key);
            text.push_str(value);
            ends.extend([of_key, of_value]);
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl Labels for PodLabels {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl fmt::Debug for PodLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_lost(labels in prop::collection::btree_map(".{0,5}", ".{0,5}", 0..6)) {
            let packed = PodLabels::from(&labels);
            let all: BTreeMap<String, String> = packed.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(&all, &labels);
            prop_assert_eq!(packed.is_empty(), labels.is_empty());
            for (key, value) in &labels {
                prop_assert_eq!(packed.get(key), Some(value.as_str()));
            }
        }
    }

    #[test]
    fn a_label_is_found_by_its_whole_key() {
        let packed = PodLabels::from(&BTreeMap::from([("app".to_owned(), "web".to_owned())]));
        assert_eq!((packed.get("ap"), packed.get("appweb"), packed.get("")), (None, None, None));
    }
}
