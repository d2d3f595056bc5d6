use std::time::Duration;

use orchestra_core::{random::Generator, store::Revision};

/// How far back an early compaction may leave history.
const KEPT: Revision = 10;

/// How often what goes wrong, in percent, and how long what takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) failures: u64,
    pub(super) lost_requests: u64,
    pub(super) lost_answers: u64,
    pub(super) late_requests: u64,
    pub(super) repeated_requests: u64,
    pub(super) broken_watches: u64,
    pub(super) early_compactions: u64,
    pub(super) delay: Duration,
    pub(super) lag: Duration,
    pub(super) hides_progress: bool,
}

/// What goes wrong with one call, drawn before it begins: a call that takes longer changes nothing for the others.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fate {
    pub(super) request: Duration,
    pub(super) answer: Duration,
    pub(super) fails: bool,
    /// How many revisions back the store is compacted first.
    pub(super) compacts: Option<Revision>,
    /// What becomes of it if it is a commit.
    pub(super) commit: Option<Fault>,
    /// How long after its answer a late request arrives.
    pub(super) late: Duration,
}

/// What goes wrong with a commit that does not plainly fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    LostRequest,
    LostAnswer,
    LateRequest,
    RepeatedRequest,
}

impl Faults {
    pub(super) fn draw(&self, generator: &Generator) -> Fate {
        Fate {
            request: up_to(self.delay, generator),
            answer: up_to(self.delay, generator),
            fails: strikes(self.failures, generator),
            compacts: strikes(self.early_compactions, generator).then(|| generator.below(KEPT)),
            commit: self.draw_commit(generator),
            late: up_to(self.delay, generator),
        }
    }

    /// At most one fault, each with its own chance.
    fn draw_commit(&self, generator: &Generator) -> Option<Fault> {
        let mut drawn = generator.below(100);
        let chances = [
            (Fault::LostRequest, self.lost_requests),
            (Fault::LostAnswer, self.lost_answers),
            (Fault::LateRequest, self.late_requests),
            (Fault::RepeatedRequest, self.repeated_requests),
        ];
        for (fault, percent) in chances {
            if drawn < percent {
                return Some(fault);
            }
            drawn -= percent;
        }
        None
    }
}

pub(super) fn strikes(percent: u64, generator: &Generator) -> bool {
    generator.below(100) < percent
}

pub(super) fn up_to(most: Duration, generator: &Generator) -> Duration {
    Duration::from_nanos(generator.below(u64::try_from(most.as_nanos()).unwrap_or(u64::MAX)))
}
