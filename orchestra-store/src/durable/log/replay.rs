//! Which groups of a log the engine lacks.

use orchestra_core::store::Revision;

use super::{
    BLOCK, Halves,
    entry::{self, Entry},
};

pub(super) struct Replay {
    /// In the order of their revisions.
    pub(super) entries: Vec<Entry>,
    /// The half that the last of them is in, and where it ends.
    pub(super) half: usize,
    pub(super) end: usize,
    /// Whether some are in the other half.
    pub(super) other_is_needed: bool,
}

/// A whole group, and where it lies.
struct Found {
    entry: Entry,
    begin: usize,
    end: usize,
}

/// The groups that lead on from `stored`, up to the first that is not whole: it was being written, if nothing that is newer
/// is there. Something that is was written after it, so that it was whole then: the result is what is wrong.
pub(super) fn replay(bytes: &[u8], (number, halves): (u64, Halves), stored: Revision) -> Result<Replay, String> {
    let mut found = newer_groups(bytes, number, stored);
    found.sort_by_key(|found| found.entry.before);
    let mut replay = Replay { entries: Vec::new(), half: BLOCK, end: BLOCK, other_is_needed: false };
    let (mut reached, mut gap) = (stored, None);
    for Found { entry, begin, end } in found {
        if entry.before != reached {
            gap = Some((entry.before, begin));
            break;
        }
        let half = halves.begin_of(begin);
        replay.other_is_needed |= half != replay.half && !replay.entries.is_empty();
        (replay.half, replay.end) = (half, end);
        reached = entry.position.revision;
        replay.entries.push(entry);
    }
    match gap {
        // The engine's file is older than all that is here: as the witness of what was acknowledged will tell.
        Some((_, begin)) if replay.entries.is_empty() && halves.begins().contains(&begin) => Ok(replay),
        Some((before, _)) => Err(format!("revisions {} to {before} are damaged", reached + 1)),
        None => Ok(replay),
    }
}

/// The whole groups after `stored`. Between them is what is left of older ones.
fn newer_groups(bytes: &[u8], number: u64, stored: Revision) -> Vec<Found> {
    let at = |begin: usize| {
        let (entry, length) = entry::read(bytes.get(begin..)?, number)?;
        let end = begin + length.next_multiple_of(BLOCK);
        (entry.position.revision > stored).then_some(Found { entry, begin, end })
    };
    (BLOCK..bytes.len()).step_by(BLOCK).filter_map(at).collect()
}
