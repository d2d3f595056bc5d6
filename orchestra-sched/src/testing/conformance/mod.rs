mod case;
mod rules;

use std::{collections::BTreeSet, fmt};

use orchestra_core::scheduler::Scheduler;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use self::case::Case;
pub use self::rules::Rule;
use super::strategies;

/// How many clusters are tried.
const CASES: u32 = 300;

/// Checks that a scheduler keeps to every [`Rule`], with random clusters and pods; always the same ones. A cluster with which it does not, as small as was found, is
/// in the message.
///
/// ```
/// use orchestra_sched::{framework::Framework, testing::Conformance};
/// Conformance::new().cases(20).assert(&Framework::kubernetes());
/// ```
///
/// A scheduler with rules of its own does not send a pod everywhere where it fits, and says so:
///
/// ```
/// # use orchestra_core::scheduler::{NodeInfo, PodInfo, Rejection};
/// # use orchestra_sched::framework::{CycleState, Filter, Framework, Plugin};
/// # struct KeepSpares;
/// # impl Plugin for KeepSpares {
/// #     fn name(&self) -> &'static str { "KeepSpares" }
/// #     fn as_filter(&self) -> Option<&dyn Filter> { Some(self) }
/// # }
/// # impl Filter for KeepSpares {
/// #     fn filter(&self, _: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
/// #         if &**node.name() == "n0" { Err(Rejection::new("node(s) are spare")) } else { Ok(()) }
/// #     }
/// # }
/// use orchestra_sched::testing::{Conformance, Rule};
/// let scheduler = Framework::builder().default_plugins().plugin(KeepSpares).build();
/// let conformance = Conformance::new().cases(20);
/// assert_eq!(conformance.check(&scheduler).unwrap_err().rule(), Rule::FindsRoom);
/// conformance.without(Rule::FindsRoom).assert(&scheduler);
/// ```
#[derive(Clone, Debug)]
pub struct Conformance {
    cases: u32,
    left_out: BTreeSet<Rule>,
}

/// A rule that a scheduler broke, and how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    rule: Rule,
    what: String,
    cluster: String,
}

impl Conformance {
    /// All rules.
    pub fn new() -> Self {
        Self { cases: CASES, left_out: BTreeSet::new() }
    }

    /// How many clusters are tried instead of 300.
    #[must_use]
    pub fn cases(self, cases: u32) -> Self {
        Self { cases, ..self }
    }

    /// Leaves a rule out that the scheduler does not mean to keep.
    #[must_use]
    pub fn without(mut self, rule: Rule) -> Self {
        self.left_out.insert(rule);
        self
    }

    /// Tries the scheduler.
    ///
    /// # Errors
    /// The rule that it broke first.
    pub fn check(&self, scheduler: &dyn Scheduler) -> Result<(), Violation> {
        let config = Config { cases: self.cases, failure_persistence: None, ..Config::default() };
        let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let clusters = strategies::clusters(0..6, 0..10);
        let cases = (clusters, strategies::pods(1..8), any::<u64>());
        let cases = cases.prop_map(|(cluster, pods, seed)| Case { cluster, pods, seed });
        let check = |case: &Case| case.check(scheduler, &self.left_out);
        let outcome = TestRunner::new_with_rng(config, rng)
            .run(&cases, |case| check(&case).map_err(|violation| TestCaseError::fail(violation.to_string())));
        match outcome {
            Ok(()) => Ok(()),
            Err(TestError::Fail(reason, smallest)) => Err(check(&smallest).err().unwrap_or_else(|| Violation {
                rule: Rule::Deterministic,
                what: format!("it broke a rule once and then not again: {reason}"),
                cluster: String::new(),
            })),
            Err(TestError::Abort(reason)) => {
                Err(Violation { rule: Rule::Answers, what: reason.to_string(), cluster: String::new() })
            }
        }
    }

    /// As [`check`](Self::check).
    ///
    /// # Panics
    /// If the scheduler breaks a rule; the message says which, and with which cluster.
    #[track_caller]
    pub fn assert(&self, scheduler: &dyn Scheduler) {
        if let Err(violation) = self.check(scheduler) {
            panic!("{violation}");
        }
    }
}

impl Default for Conformance {
    fn default() -> Self {
        Self::new()
    }
}

impl Violation {
    /// Which rule.
    pub fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the scheduler breaks the rule {}: {}\n\n{}", self.rule, self.what, self.cluster)
    }
}
