use std::fmt;

use kube::core::Status;

/// A manifest that could not be read or created. Its `Display` is one line: `file: document N: [field:] what is wrong`.
#[derive(Debug)]
pub struct ManifestError {
    pub(super) file: String,
    pub(super) document: Option<usize>,
    /// The item of a list that is at fault, else empty.
    pub(super) path: String,
    pub(super) problem: Box<Problem>,
}

impl ManifestError {
    pub(super) fn of_file(file: &str, problem: Problem) -> Self {
        Self { file: file.to_owned(), document: None, path: String::new(), problem: Box::new(problem) }
    }

    /// The file's name, as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The document's number in the file, from 1; `None` if the file as a whole is at fault.
    pub fn document(&self) -> Option<usize> {
        self.document
    }

    /// What is wrong.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(number) = self.document {
            write!(f, "document {number}: ")?;
        }
        if !self.path.is_empty() {
            write!(f, "{}{}", self.path, if self.problem.is_of_field() { "." } else { ": " })?;
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for ManifestError {}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(std::io::Error),
    /// The file is not UTF-8.
    #[error("not UTF-8: invalid byte at offset {offset}")]
    NotUtf8 {
        /// The first offset that is wrong.
        offset: usize,
    },
    /// There is no object in the file.
    #[error("no objects found")]
    Empty,
    /// The document is not YAML, or more of it than is read: nested too deeply, or full of aliases.
    #[error("cannot be read as YAML: line {line}: {message}")]
    NotYaml {
        /// The line of the file, from 1.
        line: usize,
        /// The parser's words, on one line.
        message: String,
    },
    /// The document is a scalar or a list.
    #[error("an object was expected")]
    NotAnObject,
    /// A field is missing.
    #[error("{field}: Required value")]
    Required {
        /// Its name.
        field: &'static str,
    },
    /// A field has the wrong type.
    #[error("{field}: a string was expected")]
    NotAString {
        /// Its name.
        field: &'static str,
    },
    /// A field is no list.
    #[error("{field}: a list was expected")]
    NotAList {
        /// Its name.
        field: &'static str,
    },
    /// A field has a value that no request can carry.
    #[error("{field}: Invalid value: {value:?}: {reason}")]
    Invalid {
        /// Its name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it, in the API server's words.
        reason: String,
    },
    /// The server has no such kind.
    #[error("no matches for kind \"{kind}\" in version \"{api_version}\"")]
    UnknownKind {
        /// The kind.
        kind: String,
        /// The version it was asked in.
        api_version: String,
    },
    /// The server refused the object.
    #[error("{}", refusal(.0))]
    Refused(Box<Status>),
    /// The server could not be asked.
    #[error("{0}")]
    Client(kube::Error),
}

impl Problem {
    /// Whether the words begin with a field's name.
    fn is_of_field(&self) -> bool {
        matches!(self, Self::Required { .. } | Self::NotAString { .. } | Self::NotAList { .. } | Self::Invalid { .. })
    }
}

/// The server's message; one that quotes the input over several lines is folded into one.
fn refusal(status: &Status) -> String {
    one_line(&status.message)
}

pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
