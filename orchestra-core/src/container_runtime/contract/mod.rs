//! The contract suite: what every [`ContainerRuntime`] must do, as checks that run against any of them.
//!
//! Each check is a function that returns the first [`Violation`] it finds. [`run`] runs all of them; [`checks`] lists them, so that a test can
//! run one by one. They tell the runtime's sandboxes from others by a label, and remove them afterwards, so that one runtime may
//! serve many of them, also at once. They wait in tokio's time: a runtime in the process is checked at once under paused time.
//!
//! A runtime brings images that behave as [`Images`] says. Abilities that it does not have
//! ([`Unsupported`](super::RuntimeError::Unsupported)) are not checked.

mod container;
mod event;
mod exec;
mod image;
mod list;
mod log;
mod node;
mod sandbox;
mod stop;
mod world;

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::time::timeout;

pub use self::world::World;
use super::{ContainerRuntime, ImageSpec};
pub use crate::contract::Violation;
use crate::contract::{ensure, ensure_error};

/// How long a check may take before the runtime counts as hung.
const HUNG: Duration = Duration::from_secs(120);

/// The runtime under test, and what it has for it.
#[derive(Clone)]
pub struct Subject {
    /// The runtime.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Images that behave as wanted.
    pub images: Images,
    /// A folder of the node where logs may be written to, each check's in a folder of its own; empty for a runtime that needs none.
    pub log_directory: String,
}

/// Images that can be fetched, except for one, and how containers of them behave.
#[derive(Clone, Debug)]
pub struct Images {
    /// Runs until it is told to end (SIGTERM), and then ends with code 0. Runs these commands: `sh -c 'echo out; echo err >&2; exit 3'` as a shell
    /// does, and `sleep 60`.
    pub forever: ImageSpec,
    /// Runs, and takes no notice of being told to end.
    pub stubborn: ImageSpec,
    /// Ends by itself with code 7.
    pub exits_with_7: ImageSpec,
    /// Writes the lines `one` and `two` to standard output and nothing else, and ends.
    pub lines: ImageSpec,
    /// Cannot be fetched.
    pub missing: ImageSpec,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").field("images", &self.images).finish_non_exhaustive()
    }
}

/// One rule of the contract.
#[derive(Clone, Copy)]
pub struct Check {
    area: &'static str,
    name: &'static str,
    run: fn(Arc<World>) -> BoxFuture<'static, Result<(), Violation>>,
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

    /// Checks the runtime, and removes what was made for that.
    pub async fn run(&self, subject: &Subject) -> Result<(), Violation> {
        let world = Arc::new(World::new(subject.clone(), self.name));
        let outcome = match timeout(HUNG, (self.run)(Arc::clone(&world))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Violation::new(format!("not done after {HUNG:?}"))),
        };
        let cleaned = match timeout(HUNG, world.clean()).await {
            Ok(cleaned) => cleaned,
            Err(_) => Err(Violation::new(format!("its sandboxes are not removed after {HUNG:?}"))),
        };
        outcome.and(cleaned).map_err(|violation| violation.found_by(self.name))
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
        node::CHECKS,
        sandbox::CHECKS,
        container::CHECKS,
        stop::CHECKS,
        list::CHECKS,
        image::CHECKS,
        log::CHECKS,
        event::CHECKS,
        exec::CHECKS,
    ];
    areas.concat()
}

/// Runs every check, one after the other; the violations are in the order of the checks.
pub async fn run(subject: &Subject) -> Result<(), Vec<Violation>> {
    let mut violations = Vec::new();
    for check in checks() {
        violations.extend(check.run(subject).await.err());
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// A row of a module's `CHECKS`: the function's name is the check's.
macro_rules! check {
    ($area:literal, $name:ident) => {
        $crate::container_runtime::contract::Check {
            area: $area,
            name: stringify!($name),
            run: |world| Box::pin($name(world)),
        }
    };
}
use check;
