//! What must hold at every revision. A violation is told in words.

mod nodes;
mod pods;
mod recreate;
mod rollout;
mod sandboxes;

pub(crate) use self::{nodes::Nodes, pods::Pods, recreate::Recreate, rollout::Rollouts, sandboxes::Sandboxes};

/// Nothing, or which object breaks what.
pub(crate) type Verdict = Result<(), String>;

/// Breaks the invariant that `holds` says it does not.
fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(otherwise()) }
}
