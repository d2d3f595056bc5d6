//! What a recording calls by other names than we do: uids, random names, resource versions, continue tokens.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// The letters that Kubernetes makes name suffixes of.
const SUFFIX: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Pairs learned by matching answers so far; recorded to ours.
#[derive(Clone)]
pub(crate) struct Bindings {
    /// Uids and continue tokens.
    texts: BTreeMap<String, String>,
    /// Random parts of names.
    words: BTreeMap<String, String>,
    versions: BTreeMap<u64, u64>,
    ordered: bool,
}

impl Bindings {
    /// Nothing learned yet. Where controllers run, their writes are not `ordered` as the recorded ones, and versions
    /// say nothing.
    pub(crate) fn new(ordered: bool) -> Self {
        Self { texts: BTreeMap::new(), words: BTreeMap::new(), versions: BTreeMap::new(), ordered }
    }

    /// Whether `ours` says what `recorded` says, other names aside; new names are learned.
    pub(crate) fn same(&mut self, recorded: &str, ours: &str) -> bool {
        if recorded == ours || self.translate(recorded) == ours {
            return true;
        }
        if is_uid(recorded) && is_uid(ours) || one_position(recorded, ours) {
            return learn(&mut self.texts, recorded, ours);
        }
        self.same_words(recorded, ours)
    }

    /// Whether the texts differ in nothing but random parts of names.
    fn same_words(&mut self, recorded: &str, ours: &str) -> bool {
        let (theirs, ours) = (words(recorded), words(ours));
        if theirs.len() != ours.len() {
            return false;
        }
        let mut learned = self.words.clone();
        let same = theirs.iter().zip(&ours).all(|(recorded, ours)| {
            let known = learned.get(*recorded).map_or(*recorded, String::as_str);
            known == *ours
                || is_moment(recorded) && is_moment(ours)
                || is_random(recorded) && is_random(ours) && learn(&mut learned, recorded, ours)
        });
        if same {
            self.words = learned;
        }
        same
    }

    /// Binds the resource version of an object. One version is always the same version; two are never one.
    pub(crate) fn same_version(&mut self, recorded: &str, ours: &str) -> bool {
        let (Ok(recorded), Ok(ours)) = (recorded.parse(), ours.parse()) else { return recorded == ours };
        if !self.ordered || self.versions.first_key_value().is_some_and(|(first, _)| recorded < *first) {
            // Of before the recording: built-in objects, whose order of creation nobody sees.
            return true;
        }
        let before = self.versions.range(..recorded).next_back().is_none_or(|(_, version)| *version <= ours);
        let after = self.versions.range(recorded + 1..).next().is_none_or(|(_, version)| ours <= *version);
        before && after && *self.versions.entry(recorded).or_insert(ours) == ours
    }

    /// Notes at which of our versions a list of a recorded version was read; unrelated writes may lie in between.
    pub(crate) fn list_version(&mut self, recorded: &str, ours: &str) -> bool {
        let (Ok(recorded), Ok(ours)) = (recorded.parse(), ours.parse::<u64>()) else { return recorded == ours };
        if !self.ordered {
            return true;
        }
        let before = self.versions.range(..=recorded).next_back().is_none_or(|(_, version)| *version <= ours);
        if before && self.versions.first_key_value().is_none_or(|(first, _)| *first < recorded) {
            self.versions.entry(recorded).or_insert(ours);
        }
        before
    }

    /// Our words for recorded ones.
    pub(crate) fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, ours) in &self.texts {
            text = text.replace(recorded.as_str(), ours);
        }
        if !self.words.is_empty() {
            let known = |word: &str| self.words.get(word).cloned().unwrap_or_else(|| word.to_owned());
            text = words(&text).into_iter().map(known).collect();
        }
        let mut out = String::new();
        let mut label = String::new();
        for run in runs(&text) {
            let version = run.parse().ok().filter(|_| label.contains("resourceversion"));
            out.push_str(&version.map_or(run.to_owned(), |version| self.version(version).to_string()));
            label = run.to_lowercase().replace(' ', "");
        }
        out
    }

    /// Our version of a recorded one: the newest known that is not newer. What lies outside of the recording stays.
    fn version(&self, recorded: u64) -> u64 {
        let newest = self.versions.last_key_value().map_or(0, |(version, _)| *version);
        // Watches of the recordings start a few versions after the last answer that we saw.
        let near = recorded <= newest + 50;
        let floor = self.versions.range(..=recorded).next_back().filter(|_| near);
        floor.map_or(recorded, |(_, version)| *version)
    }
}

/// Learns a pair; false if either is of another pair already.
fn learn(pairs: &mut BTreeMap<String, String>, recorded: &str, ours: &str) -> bool {
    let known = pairs.contains_key(recorded) || pairs.values().any(|known| known == ours);
    if !known {
        pairs.insert(recorded.to_owned(), ours.to_owned());
    }
    !known
}

fn is_uid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

/// A generated name's suffix, or the hash of a template.
fn is_random(word: &str) -> bool {
    matches!(word.len(), 5 | 8..=10)
        && word.chars().all(|letter| SUFFIX.contains(letter))
        && !word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The time in an event's name. Events of one moment share it.
fn is_moment(word: &str) -> bool {
    word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The text cut between letters and digits and all else.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, letter) in text.char_indices() {
        let kind = letter.is_ascii_alphanumeric();
        if last.is_some_and(|last| last != kind) {
            words.push(&text[start..at]);
            start = at;
        }
        last = Some(kind);
    }
    words.push(&text[start..]);
    words
}

/// Both are continue tokens that go on after the same key.
fn one_position(a: &str, b: &str) -> bool {
    let start = |token: &str| {
        let json = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let token: Value = serde_json::from_slice(&json).ok()?;
        // Kubernetes' watch cache and its etcd storage disagree on the slash before the key.
        Some((token["v"].as_str()?.to_owned(), token["start"].as_str()?.trim_start_matches('/').to_owned()))
    };
    start(a).is_some_and(|position| start(b) == Some(position))
}

/// The text cut between digits and all else.
fn runs(text: &str) -> Vec<&str> {
    let digits = |byte: u8| byte.is_ascii_digit();
    text.as_bytes().chunk_by(|a, b| digits(*a) == digits(*b)).filter_map(|run| std::str::from_utf8(run).ok()).collect()
}

#[test]
fn a_random_suffix_is_learned_once() {
    let mut names = Bindings::new(true);
    assert!(names.same("g-vxpt7", "g-bbbbb"));
    assert!(!names.same("g-vxpt7", "g-ccccc"));
    assert!(!names.same("g-xxxxx", "h-ccccc"));
    assert_eq!(names.translate("/configmaps/g-vxpt7"), "/configmaps/g-bbbbb");
}

#[test]
fn versions_keep_their_order() {
    let mut versions = Bindings::new(true);
    assert!(versions.same_version("281", "10") && versions.same_version("290", "12"));
    assert!(!versions.same_version("281", "11") && !versions.same_version("295", "9"));
    assert!(versions.list_version("285", "11"));
    assert_eq!(versions.translate("?x=288&resourceVersion=288&x=1"), "?x=288&resourceVersion=11&x=1");
    assert_eq!(versions.translate("?resourceVersion=99999"), "?resourceVersion=99999");
    assert_eq!(versions.translate("?resourceVersion=5"), "?resourceVersion=5");
}
