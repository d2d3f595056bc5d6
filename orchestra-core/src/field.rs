//! Where a field stands in an object, and what is wrong with it, in the words of `k8s.io/apimachinery/pkg/util/validation/field`.
//!
//! The API server answers with a list of [`Error`]s as the causes of a `422 Invalid` status; a component whose configuration is wrong says
//! them in one line ([`aggregate`]).

use std::fmt;

/// The path to a field, as messages print it: `spec.containers[0].env[1].name`, `metadata.labels[a/b]`.
///
/// ```
/// use orchestra_core::field::Path;
/// let path = Path::new("spec").child("containers").index(0).child("name");
/// assert_eq!(path.to_string(), "spec.containers[0].name");
/// assert_eq!(Path::new("data").key("tls.crt").to_string(), "data[tls.crt]");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path of one field; an empty name is the object itself.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The field `name` (dots allowed) below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self::new(name) } else { Self(format!("{}.{name}", self.0)) }
    }

    /// An item of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// An entry of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "<nil>" } else { &self.0 })
    }
}

/// The kind of a field's error; [`reason`](ErrorKind::reason) is what `Status.details.causes[].reason` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A required value is missing.
    Required,
    /// A value that must be unique occurs twice.
    Duplicate,
    /// The value is malformed or out of bounds.
    Invalid,
    /// The value is not one of an enumeration.
    NotSupported,
    /// The value may not be set or changed here.
    Forbidden,
    /// The value is longer than allowed.
    TooLong,
    /// The list or map has more entries than allowed.
    TooMany,
    /// What the value refers to does not exist.
    NotFound,
    /// The value has the wrong type.
    TypeInvalid,
    /// The server failed to check the value.
    Internal,
}

impl ErrorKind {
    /// The `metav1.CauseType`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::NotFound => "FieldValueNotFound",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }
}

/// What is wrong with one field.
///
/// ```
/// use orchestra_core::field::{Error, Path};
/// let error = Error::invalid(&Path::new("spec").child("replicas"), -1, "must be greater than or equal to 0");
/// assert_eq!(error.to_string(), "spec.replicas: Invalid value: -1: must be greater than or equal to 0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of error.
    pub kind: ErrorKind,
    /// Which field.
    pub field: Path,
    /// The message without the field's name: `Invalid value: -1: must be ...`.
    pub body: String,
}

impl Error {
    fn new(kind: ErrorKind, field: &Path, body: String) -> Self {
        Self { kind, field: field.clone(), body }
    }

    /// `Required value: detail`.
    pub fn required(field: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Required, field, with_detail("Required value", detail))
    }

    /// `Duplicate value: value`.
    pub fn duplicate(field: &Path, value: impl Into<Shown>) -> Self {
        Self::new(ErrorKind::Duplicate, field, format!("Duplicate value: {}", value.into().0))
    }

    /// `Invalid value: value: detail`.
    pub fn invalid(field: &Path, value: impl Into<Shown>, detail: impl AsRef<str>) -> Self {
        let head = format!("Invalid value: {}", value.into().0);
        Self::new(ErrorKind::Invalid, field, with_detail(&head, detail.as_ref()))
    }

    /// `Unsupported value: value: supported values: "a", "b"`, in the order given: Kubernetes' own is that of the alphabet
    /// where it keeps the values in a set.
    pub fn not_supported(field: &Path, value: impl Into<Shown>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|v| Shown::from(*v).0).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        let head = format!("Unsupported value: {}", value.into().0);
        Self::new(ErrorKind::NotSupported, field, with_detail(&head, &detail))
    }

    /// `Forbidden: detail`.
    pub fn forbidden(field: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Forbidden, field, with_detail("Forbidden", detail))
    }

    /// `Too long: may not be more than N bytes`.
    pub fn too_long(field: &Path, max_bytes: usize) -> Self {
        Self::new(ErrorKind::TooLong, field, format!("Too long: may not be more than {max_bytes} bytes"))
    }

    /// `Too many: N: must have at most M items`.
    pub fn too_many(field: &Path, actual: usize, max: usize) -> Self {
        Self::new(ErrorKind::TooMany, field, format!("Too many: {actual}: must have at most {max} items"))
    }

    /// `Not found: value`.
    pub fn not_found(field: &Path, value: impl Into<Shown>) -> Self {
        Self::new(ErrorKind::NotFound, field, format!("Not found: {}", value.into().0))
    }

    /// `Internal error: detail`.
    pub fn internal(field: &Path, detail: &str) -> Self {
        Self::new(ErrorKind::Internal, field, with_detail("Internal error", detail))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body)
    }
}

/// Every error found in an object, in the order found.
pub type Errors = Vec<Error>;

/// All errors in one line, as `k8s.io/apimachinery/pkg/util/errors` has it: one as it stands, several in brackets, none twice.
///
/// # Errors
/// That line; none is `Ok`.
///
/// ```
/// use orchestra_core::field::{Error, Path, aggregate};
/// let errors = ["a", "b", "a"].map(|name| Error::required(&Path::new(name), ""));
/// assert_eq!(aggregate(&[]), Ok(()));
/// assert_eq!(aggregate(&errors[..1]), Err("a: Required value".to_owned()));
/// assert_eq!(aggregate(&errors), Err("[a: Required value, b: Required value]".to_owned()));
/// ```
pub fn aggregate(errors: &[Error]) -> Result<(), String> {
    let mut lines: Vec<String> = Vec::new();
    for line in errors.iter().map(ToString::to_string) {
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    match lines.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        lines => Err(format!("[{}]", lines.join(", "))),
    }
}

fn with_detail(head: &str, detail: &str) -> String {
    if detail.is_empty() { head.to_owned() } else { format!("{head}: {detail}") }
}

/// A value as messages show it: strings quoted, other values as JSON.
#[derive(Clone, Debug)]
pub struct Shown(String);

impl Shown {
    /// Shows any serialisable value as JSON.
    pub fn json(value: &impl serde::Serialize) -> Self {
        Self(serde_json::to_string(value).unwrap_or_else(|_| "<unprintable>".to_owned()))
    }

    /// Shows `text` as it stands, without quotes.
    pub fn raw(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Shown {
    fn from(value: &str) -> Self {
        Self::json(&value)
    }
}

impl From<&String> for Shown {
    fn from(value: &String) -> Self {
        Self::json(value)
    }
}

macro_rules! shown_as_is {
    ($($ty:ty),*) => { $(impl From<$ty> for Shown {
        fn from(value: $ty) -> Self {
            Self(value.to_string())
        }
    })* };
}
shown_as_is!(i32, i64, u64, usize, bool);
