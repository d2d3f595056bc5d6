//! Programs that must succeed.

use std::{
    ffi::OsStr,
    io,
    process::{Command, Output},
};

/// Runs `program`, with arguments that have no spaces within, and returns what it prints.
///
/// # Errors
/// When it cannot be run or fails; what it says is in the error.
pub fn run(program: &str, arguments: &str) -> io::Result<String> {
    output(Command::new(program).args(arguments.split(' ')))
}

/// As [`run`], of any command.
pub(super) fn output(command: &mut Command) -> io::Result<String> {
    let words: Vec<_> =
        [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let line = words.join(" ");
    let failed = |reason: String| io::Error::other(format!("{line}: {reason}"));
    let Output { status, stdout, stderr } = command.output().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(String::from_utf8_lossy(&stderr).trim_end().to_owned()));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
