//! Replays recordings of a real Kubernetes and compares what it answered with what our server answers.

mod bindings;
mod compare;
pub(crate) mod differences;
mod off_stage;
mod read;
mod repair;
mod replay;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

pub(crate) use self::replay::Replay;

/// The folder of recordings that `ORCHESTRA_GOLDEN` names. Without it the tests have nothing to compare with, and say so.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = env::var_os("ORCHESTRA_GOLDEN").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: ORCHESTRA_GOLDEN names no folder of recordings");
    }
    folder
}

/// The scenario in the file `name`.jsonl of `folder`.
pub(crate) fn scenario(folder: &Path, name: &str) -> read::Scenario {
    let path = folder.join(format!("{name}.jsonl"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read::parse(name, &text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails with all differences, one a line.
pub(crate) fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
