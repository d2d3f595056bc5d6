//! The contract suite: what every [`Store`] must do, as checks that run against any of them.
//!
//! Each check is a function that takes an empty store of its own and returns the first [`Violation`] it finds. [`run`] runs
//! all of them; [`checks`] lists them, so that a test can run one by one.
//!
//! The checks work in real time and, for a store that lives in the process, under tokio's paused time, which makes those that
//! wait for a time to live instant. Concurrency is real only on a multi-threaded runtime: run the suite on both.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use orchestra_store::{MemoryStore, contract};
//!
//! for check in contract::checks().into_iter().filter(|check| check.area() == "commit") {
//!     check.run(Arc::new(MemoryStore::default())).await.unwrap();
//! }
//! # });
//! ```

pub mod commit;
pub mod compaction;
pub mod concurrency;
mod guarded;
pub mod history;
pub mod linearizability;
pub mod paging;
pub mod read;
mod specification;
mod tail;
pub mod ttl;
mod unreliable;
pub mod watch;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream};
use orchestra_core::store::Store;

pub use self::{guarded::guarded, unreliable::unreliable};
pub use orchestra_core::contract::Violation;
use orchestra_core::contract::ensure;

/// How long a check may take before the store counts as hung.
const HUNG: Duration = Duration::from_secs(120);

/// The store under test.
pub type Subject = Arc<dyn Store>;

/// One rule of the contract.
#[derive(Clone, Copy)]
pub struct Check {
    area: &'static str,
    name: &'static str,
    run: fn(Subject) -> BoxFuture<'static, Result<(), Violation>>,
}

impl Check {
    /// The part of the contract that the rule belongs to: the name of the module.
    pub fn area(&self) -> &'static str {
        self.area
    }

    /// The name of the check's function.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Checks `store`, which must have no keys; its revision may be any.
    pub async fn run(&self, store: Subject) -> Result<(), Violation> {
        let outcome = match tokio::time::timeout(HUNG, (self.run)(store)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Violation::new(format!("not done after {HUNG:?}"))),
        };
        outcome.map_err(|violation| violation.found_by(self.name))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.area, self.name)
    }
}

/// All checks.
pub fn checks() -> Vec<Check> {
    let areas = [
        read::CHECKS,
        paging::CHECKS,
        commit::CHECKS,
        watch::CHECKS,
        compaction::CHECKS,
        ttl::CHECKS,
        concurrency::CHECKS,
        history::CHECKS,
        linearizability::CHECKS,
    ];
    areas.concat()
}

/// Runs every check, each on a new empty store that `factory` makes; the violations are in the order of the checks.
pub async fn run<F, S>(mut factory: F) -> Result<(), Vec<Violation>>
where
    F: FnMut() -> S,
    S: Future<Output = Subject>,
{
    let mut violations = Vec::new();
    for check in checks() {
        violations.extend(check.run(factory().await).await.err());
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// As [`run`], with up to `at_once` checks under way together: for stores that live in real time, where those that wait for
/// a time to live, for a disk or for a network would else take long.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// use std::sync::Arc;
/// use orchestra_store::{MemoryStore, contract};
///
/// let outcome = contract::run_together(8, || async { Arc::new(MemoryStore::default()) as contract::Subject }).await;
/// assert_eq!(outcome, Ok(()));
/// # });
/// ```
pub async fn run_together<F, S>(at_once: usize, mut factory: F) -> Result<(), Vec<Violation>>
where
    F: FnMut() -> S,
    S: Future<Output = Subject>,
{
    let runs = checks().into_iter().map(|check| {
        let store = factory();
        async move { check.run(store.await).await.err() }
    });
    let outcomes: Vec<Option<Violation>> = stream::iter(runs).buffered(at_once.max(1)).collect().await;
    let violations: Vec<Violation> = outcomes.into_iter().flatten().collect();
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// A row of a module's `CHECKS`: the function's name is the check's.
macro_rules! check {
    ($area:literal, $name:ident) => {
        $crate::contract::Check { area: $area, name: stringify!($name), run: |store| Box::pin($name(store)) }
    };
}
use check;
