use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// Why a machine cannot be described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not as it should be.
    #[error("{path} is not as the kernel writes it", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// The files by which a machine describes itself. Paths are relative to its root.
#[derive(Clone, Debug)]
pub(super) struct Files {
    root: PathBuf,
}

impl Files {
    pub(super) fn below(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn text(&self, path: &str) -> Result<String, MachineError> {
        self.optional(path)?.ok_or_else(|| self.failed(path, ErrorKind::NotFound.into()))
    }

    /// A file's text, with nothing around it; `None` if it is not there, or not for us.
    pub(super) fn optional(&self, path: &str) -> Result<Option<String>, MachineError> {
        match std::fs::read_to_string(self.root.join(path)) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
            Err(error) => Err(self.failed(path, error)),
        }
    }

    pub(super) fn number(&self, path: &str) -> Result<u64, MachineError> {
        self.text(path)?.parse().map_err(|_| self.malformed(path))
    }

    /// How many lines of `name : value` there are.
    pub(super) fn count_of(&self, path: &str, name: &str) -> Result<u64, MachineError> {
        let text = self.text(path)?;
        let lines = text.lines().filter(|line| line.split_once(':').is_some_and(|(key, _)| key.trim() == name));
        match lines.count() {
            0 => Err(self.malformed(path)),
            count => Ok(count as u64),
        }
    }

    /// The names in a folder; none if it is not there.
    pub(super) fn names(&self, path: &str) -> Result<Vec<String>, MachineError> {
        let entries = match std::fs::read_dir(self.root.join(path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(path, error)),
        };
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    pub(super) fn malformed(&self, path: &str) -> MachineError {
        MachineError::Malformed { path: self.root.join(Path::new(path)) }
    }

    fn failed(&self, path: &str, source: io::Error) -> MachineError {
        MachineError::Read { path: self.root.join(path), source }
    }
}
