//! Which groups of a log the engine lacks.

use orchestra_core::store::Revision;

use super::{
    BLOCK,
    entry::{self, Entry},
};

pub(super) struct Replay {
    pub(super) entries: Vec<Entry>,
    /// Where they end.
    pub(super) end: usize,
}

/// The groups that lead on from `stored`, up to the first that is not whole: it was being written, if nothing that is newer
/// follows. Something that does was written after it, so that it was whole then: the result is what is wrong.
pub(super) fn replay(bytes: &[u8], number: u64, stored: Revision) -> Result<Replay, String> {
    let (mut entries, mut end, mut reached) = (Vec::<Entry>::new(), BLOCK, stored);
    while let Some((entry, length)) = bytes.get(end..).and_then(|rest| entry::read(rest, number)) {
        if entry.position.revision > stored {
            if entry.before != reached {
                break;
            }
            reached = entry.position.revision;
            entries.push(entry);
        } else if !entries.is_empty() {
            break;
        }
        end += length.next_multiple_of(BLOCK);
    }
    let later = (end..bytes.len()).step_by(BLOCK).filter_map(|at| entry::read(bytes.get(at..)?, number));
    match later.map(|(entry, _)| entry.before).find(|before| *before > reached) {
        // The engine's file is older than the log's beginning: as the witness of what was acknowledged will tell.
        Some(_) if entries.is_empty() && entry::read(&bytes[BLOCK.min(bytes.len())..], number).is_some() => {
            Ok(Replay { entries, end })
        }
        Some(before) => Err(format!("revisions {} to {before} are damaged", reached + 1)),
        None => Ok(Replay { entries, end }),
    }
}
