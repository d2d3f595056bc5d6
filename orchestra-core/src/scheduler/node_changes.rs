use std::sync::Arc;

use imbl::Vector;

/// How many changes are remembered. Whoever did not look for longer looks at every node.
const KEPT: usize = 256;

/// The names of the nodes that changed last, each with the number of its change.
#[derive(Clone, Default)]
pub(super) struct NodeChanges(Vector<(u64, Arc<str>)>);

impl NodeChanges {
    /// The node called `name` has come, changed or gone.
    pub(super) fn note(&mut self, number: u64, name: Arc<str>) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((number, name));
    }

    /// The number of the last change; zero if there was none.
    pub(super) fn last(&self) -> u64 {
        self.0.last().map_or(0, |(number, _)| *number)
    }

    /// What changed after the change with this number; `None` if that is not known to have been one of these.
    pub(super) fn since(&self, number: u64) -> Option<impl Iterator<Item = &Arc<str>>> {
        // Mostly it is one of the last.
        let after = self.0.iter().rev().position(|(other, _)| *other == number)?;
        Some(self.0.iter().skip(self.0.len() - after).map(|(_, name)| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(changes: &NodeChanges, number: u64) -> Option<Vec<&str>> {
        changes.since(number).map(|names| names.map(|name| &**name).collect())
    }

    #[test]
    fn only_what_came_later_is_told_and_only_of_what_is_remembered() {
        let mut changes = NodeChanges::default();
        assert_eq!((changes.last(), since(&changes, 0)), (0, None));
        for (number, name) in [(3, "a"), (5, "b"), (9, "a")] {
            changes.note(number, name.into());
        }
        assert_eq!(changes.last(), 9);
        assert_eq!(since(&changes, 3), Some(vec!["b", "a"]));
        assert_eq!(since(&changes, 9), Some(vec![]));
        assert_eq!(since(&changes, 4), None, "that was a change of another snapshot");
        for number in 10..10 + KEPT as u64 {
            changes.note(number, "c".into());
        }
        assert_eq!(since(&changes, 9), None);
        assert_eq!(since(&changes, 10).map(|names| names.len()), Some(KEPT - 1));
    }
}
