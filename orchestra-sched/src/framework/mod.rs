//! Schedulers made of plugins, with Kubernetes' extension points.
//!
//! ```text
//! PreFilter ─► Filter (each node) ─► PreScore ─► Score (each feasible node) + normalise ─► Placement
//!                 └─ none feasible ─► PostFilter ─► Diagnosis
//! ```

mod binding;
mod containment;
mod cycle;
mod cycle_state;
mod explain;
mod extended;
mod extension_point;
mod filters;
mod measures;
mod plugin;
mod preemption;
mod profile;
mod sampling;

pub(crate) use self::containment::{contained, contained_future};
pub use self::{
    binding::{Bind, BindOutcome, Permit, PermitOutcome, PostBind, PreBind},
    cycle_state::CycleState,
    extension_point::ExtensionPoint,
    filters::Filters,
    plugin::{
        Failure, Filter, Grouping, MAX_NODE_SCORE, Plugin, PostFilter, PostFilterOutcome, PreEnqueue, PreFilter,
        PreFilterOutcome, PreScore, Requeue, Reserve, Score, normalize,
    },
    preemption::{Candidate, Preemption},
    profile::{Framework, FrameworkBuilder},
};
