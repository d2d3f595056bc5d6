use std::{fmt, sync::Arc, time::Duration};

use orchestra_core::container_runtime::ExecOutput;

/// What commands do that are run in the containers of an image.
///
/// ```
/// use orchestra_runtime::container::{ExecScript, ImageScript, Scripted};
/// let healthy = ExecScript::new(|command| Scripted::exits(i32::from(command != ["check"])));
/// let script = ImageScript { exec: Some(healthy), ..ImageScript::default() };
/// ```
#[derive(Clone)]
pub struct ExecScript(Arc<Run>);

type Run = dyn Fn(&[String]) -> Scripted + Send + Sync;

/// What one command does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scripted {
    /// How long it takes.
    pub time: Duration,
    /// What it leaves behind then.
    pub output: ExecOutput,
}

impl ExecScript {
    /// Asks `run` for each command what it does.
    pub fn new(run: impl Fn(&[String]) -> Scripted + Send + Sync + 'static) -> Self {
        Self(Arc::new(run))
    }

    pub(super) fn run(&self, command: &[String]) -> Scripted {
        (self.0)(command)
    }
}

impl Scripted {
    /// It ends at once with `code`, and writes nothing.
    pub fn exits(code: i32) -> Self {
        Self { output: ExecOutput { exit_code: code, ..ExecOutput::default() }, ..Self::default() }
    }
}

impl fmt::Debug for ExecScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExecScript").finish_non_exhaustive()
    }
}

/// Scripts are the same if they are clones of one.
impl PartialEq for ExecScript {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ExecScript {}
