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
    /// Whether it reads its input, or is there at all.
    pub program: Program,
}

/// How a command treats its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// It does not read it.
    #[default]
    Deaf,
    /// It writes what it reads, until there is nothing more to read, and then what its output says.
    Cat,
    /// There is no such program.
    Missing,
}

impl ExecScript {
    /// Asks `run` for each command what it does.
    pub fn new(run: impl Fn(&[String]) -> Scripted + Send + Sync + 'static) -> Self {
        Self(Arc::new(run))
    }

    /// The programs `true`, `false`, `echo` and `cat`, and no other.
    pub fn basic() -> Self {
        Self::new(|command| {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            match words.as_slice() {
                ["true", ..] => Scripted::exits(0),
                ["false", ..] => Scripted::exits(1),
                ["echo", words @ ..] => Scripted::prints(words.join(" ") + "\n"),
                ["cat"] => Scripted { program: Program::Cat, ..Scripted::default() },
                _ => Scripted { program: Program::Missing, ..Scripted::default() },
            }
        })
    }

    /// What the command does.
    pub fn run(&self, command: &[String]) -> Scripted {
        (self.0)(command)
    }
}

impl Scripted {
    /// It ends at once with `code`, and writes nothing.
    pub fn exits(code: i32) -> Self {
        Self { output: ExecOutput { exit_code: code, ..ExecOutput::default() }, ..Self::default() }
    }

    /// It writes `text` to standard output and succeeds.
    pub fn prints(text: impl Into<String>) -> Self {
        let output = ExecOutput { stdout: text.into().into_bytes(), ..ExecOutput::default() };
        Self { output, ..Self::default() }
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
