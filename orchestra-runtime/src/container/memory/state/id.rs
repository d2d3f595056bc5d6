use std::sync::Arc;

use super::mix;

/// The ids of one runtime: as long as containerd's. The last part is the number of what is meant, the rest tells runtimes apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    /// Which of a cluster's runtimes this is.
    pub(super) index: u16,
}

impl Ids {
    /// The id of a number.
    pub(super) fn text(self, number: u64) -> Arc<str> {
        let word = |salt: u64| mix(number ^ mix(u64::from(self.index) ^ (salt << 32)));
        format!("{:016x}{:016x}{:016x}{number:016x}", word(1), word(2), word(3)).into()
    }

    /// The number in an id, if it is one of this runtime's.
    pub(super) fn number(self, id: &str) -> Option<u64> {
        let number = u64::from_str_radix(id.get(48..)?, 16).ok()?;
        (*self.text(number) == *id).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_understood_by_its_own_runtime_only() {
        let (mine, other) = (Ids { index: 1 }, Ids { index: 2 });
        let id = mine.text(7);
        assert_eq!((id.len(), mine.number(&id), other.number(&id)), (64, Some(7), None));
        for text in ["", "7", "ä".repeat(32).as_str()] {
            assert_eq!(mine.number(text), None, "{text}");
        }
    }
}
