//! Which fields the messages of the served kinds have.

use std::{collections::HashMap, sync::LazyLock};

/// The messages, each a name and indented fields: number, JSON name, type. `.` for a name means that the fields of the message
/// are the outer object's own, `*` before a type that zero differs from absent, `[]` a list, `map` a map from strings. Numbers
/// are those of Kubernetes 1.36's `generated.proto`, which never change.
const TABLE: &str = include_str!("messages.txt");

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Once,
    List,
    Map,
}

/// A field of a message.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) repeat: Repeat,
    /// Whether a zero is a value of its own.
    pub(super) is_pointer: bool,
    /// `string`, `int`, `bool`, `bytes`, a type with a form of its own, or a message.
    pub(super) kind: &'static str,
}

impl Field {
    pub(super) fn is_inline(&self) -> bool {
        self.name == "."
    }

    fn parse(line: &'static str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (number, name, kind) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
        let (repeat, kind) = match (kind, kind.strip_prefix("[]")) {
            ("map", _) => (Repeat::Map, words.next()?),
            (_, Some(item)) => (Repeat::List, item),
            _ => (Repeat::Once, kind),
        };
        let pointed = kind.strip_prefix('*');
        Some(Self { number, name, repeat, is_pointer: pointed.is_some(), kind: pointed.unwrap_or(kind) })
    }
}

type Messages = HashMap<&'static str, Vec<Field>>;

/// All messages by name.
pub(super) fn messages() -> &'static Messages {
    static MESSAGES: LazyLock<Messages> = LazyLock::new(|| {
        let (mut messages, mut current) = (Messages::new(), "");
        for line in TABLE.lines() {
            match line.starts_with(' ') {
                true => messages.entry(current).or_default().extend(Field::parse(line)),
                false => {
                    current = line;
                    messages.entry(current).or_default();
                }
            }
        }
        messages
    });
    &MESSAGES
}
