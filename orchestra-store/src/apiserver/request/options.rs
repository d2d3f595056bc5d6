//! The query parameters of a request, checked as Kubernetes checks them.

use std::{
    num::{IntErrorKind, ParseIntError},
    str::FromStr,
    time::Duration,
};

use orchestra_core::{
    selector::{field as field_selector, label as label_selector},
    store::Revision,
};

use crate::apiserver::{field, registry::Resource, status::ApiError, validation::qualified_name};

/// The parameters of a query, decoded.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Parses what follows the question mark.
    pub fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The first value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A boolean as Go's `Convert_Slice_string_To_bool` reads it: absent, `0` and `false` are false.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }

    /// A number; text that is none is a bad request.
    pub fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None => Ok(None),
            Some(text) => parse_number("ParseInt", text).map(Some).map_err(ApiError::bad_request),
        }
    }
}

/// An unsigned number as Go's `strconv` reads it, with its words for what is none.
pub fn parse_unsigned(text: &str) -> Result<u64, String> {
    // Unlike Rust, Go takes no sign before an unsigned number.
    match text.starts_with('+') {
        true => Err(parse_error("ParseUint", text, "invalid syntax")),
        false => parse_number("ParseUint", text),
    }
}

fn parse_number<T: FromStr<Err = ParseIntError>>(function: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|error: ParseIntError| {
        let out_of_range = matches!(error.kind(), IntErrorKind::PosOverflow | IntErrorKind::NegOverflow);
        parse_error(function, text, if out_of_range { "value out of range" } else { "invalid syntax" })
    })
}

fn parse_error(function: &str, text: &str, why: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: {why}")
}

/// How a list relates to a `resourceVersion`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionMatch {
    /// As new as the store.
    MostRecent,
    /// This version or newer; zero is any.
    NotOlderThan(Revision),
    /// This version.
    Exact(Revision),
}

/// The options of list and watch (`metav1.ListOptions`).
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// Which labels.
    pub labels: label_selector::Selector,
    /// Which fields.
    pub fields: field_selector::Selector,
    /// The page's size; `None` for all.
    pub limit: Option<usize>,
    /// Where to go on.
    pub continue_token: Option<String>,
    /// Which state a list shows.
    pub version: VersionMatch,
    /// What `resourceVersion` says, for a watch; `None` if it is absent or empty.
    pub resource_version: Option<Revision>,
    /// Whether the request is a watch.
    pub watch: bool,
    /// Whether a watch gets bookmarks.
    pub bookmarks: bool,
    /// Whether a watch begins with the present state and a bookmark after it; `None` if nothing is said.
    pub send_initial_events: Option<bool>,
    /// When a watch ends.
    pub timeout: Option<Duration>,
}

impl ListOptions {
    /// Reads the options of a list, a watch, or a deletecollection.
    pub fn parse(query: &Query, watch: bool) -> Result<Self, ApiError> {
        let watch = watch || query.flag("watch");
        let labels = query.get("labelSelector").unwrap_or_default();
        let labels =
            label_selector::Selector::parse(labels).map_err(|error| ApiError::bad_request(error.to_string()))?;
        check_keys(&labels)?;
        let fields = query.get("fieldSelector").unwrap_or_default();
        let fields =
            field_selector::Selector::parse(fields).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let limit = query.integer("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        let timeout = query.integer("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
        let send_initial_events = query.get("sendInitialEvents").map(|_| query.flag("sendInitialEvents"));
        let version = query.get("resourceVersion").filter(|version| !version.is_empty());
        let version_match = query.get("resourceVersionMatch").filter(|name| !name.is_empty());
        let continue_token = query.get("continue").filter(|token| !token.is_empty()).map(str::to_owned);
        let errors = check(watch, version, version_match, send_initial_events, continue_token.is_some());
        if !errors.is_empty() {
            return Err(ApiError::invalid_kind("meta.k8s.io", "ListOptions", "", &errors));
        }
        let resource_version = version.map(|text| parse_version(text, watch)).transpose()?;
        if continue_token.is_some() && resource_version.is_some_and(|version| version != 0) {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let version = match (resource_version, version_match) {
            (Some(version), Some("Exact")) => VersionMatch::Exact(version),
            // A limit with a version and no match is the old form of an exact list.
            (Some(version), None) if version > 0 && limit.is_some() && !watch => VersionMatch::Exact(version),
            (Some(version), _) => VersionMatch::NotOlderThan(version),
            (None, _) => VersionMatch::MostRecent,
        };
        Ok(Self {
            labels,
            fields,
            limit,
            continue_token,
            version,
            resource_version,
            watch,
            bookmarks: query.flag("allowWatchBookmarks"),
            send_initial_events,
            timeout: timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
        })
    }

    /// Refuses fields that the kind cannot be selected by.
    pub fn check_fields(&self, resource: &Resource) -> Result<(), ApiError> {
        let known = resource.rules.selectable_fields();
        for requirement in self.fields.requirements() {
            let field = requirement.field.as_str();
            // Kinds without fields of their own take a namespace even if none of their objects has one.
            let by_namespace = resource.namespaced || known.is_empty();
            let metadata = field == "metadata.name" || (field == "metadata.namespace" && by_namespace);
            if metadata || known.contains(&field) {
                continue;
            }
            let message = match known {
                [] => {
                    format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
                }
                _ => format!("field label not supported: {field}"),
            };
            return Err(ApiError::bad_request(message));
        }
        Ok(())
    }
}

/// Labels that no object can have.
fn check_keys(labels: &label_selector::Selector) -> Result<(), ApiError> {
    for requirement in labels.requirements() {
        let (key, errors) = (&requirement.key, qualified_name::key(&requirement.key));
        if !errors.is_empty() {
            let errors = errors.join("; ");
            let message = format!("unable to parse requirement: <nil>: Invalid value: {key:?}: {errors}");
            return Err(ApiError::bad_request(message));
        }
    }
    Ok(())
}

/// What `metav1.ListOptions` may not say together.
fn check(
    watch: bool,
    version: Option<&str>,
    version_match: Option<&str>,
    send_initial_events: Option<bool>,
    continues: bool,
) -> field::Errors {
    let path = field::Path::new("resourceVersionMatch");
    let mut errors = Vec::new();
    let mut forbid = |forbidden: bool, path: &field::Path, detail: &str| {
        if forbidden {
            errors.push(field::Error::forbidden(path, detail));
        }
    };
    let matches = version_match.is_some();
    if watch {
        let other = version_match != Some("NotOlderThan");
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        forbid(send_initial_events.is_some() && other, &path, detail);
        let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        forbid(send_initial_events.is_none() && matches, &path, detail);
        if let Some(version_match) = version_match.filter(|_| other) {
            errors.push(field::Error::not_supported(&path, version_match, &["NotOlderThan"]));
        }
        if continues && matches {
            let detail = "resourceVersionMatch is forbidden when continue is provided";
            errors.push(field::Error::forbidden(&path, detail));
        }
        return errors;
    }
    let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
    forbid(matches && version.is_none(), &path, detail);
    forbid(matches && continues, &path, "resourceVersionMatch is forbidden when continue is provided");
    if let Some(other) = version_match.filter(|name| !matches!(*name, "Exact" | "NotOlderThan")) {
        errors.push(field::Error::not_supported(&path, other, &["Exact", "NotOlderThan", ""]));
    }
    if version_match == Some("Exact") && version == Some("0") {
        let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        errors.push(field::Error::forbidden(&path, detail));
    }
    if send_initial_events.is_some() {
        let path = field::Path::new("sendInitialEvents");
        errors.push(field::Error::forbidden(&path, "sendInitialEvents is forbidden for list"));
    }
    errors
}

/// A `resourceVersion`, with the words for one that is none.
pub fn parse_version(text: &str, watch: bool) -> Result<Revision, ApiError> {
    parse_unsigned(text).map_err(|why| {
        let error = format!("resourceVersion: Invalid value: {text:?}: {why}");
        if watch {
            // Kubernetes finds this one out after the point where it knows whose fault it is.
            ApiError::unclassified(500, error)
        } else {
            ApiError::bad_request(format!("invalid resource version: {error}"))
        }
    })
}

/// How strictly fields are read (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Unknown and repeated fields are dropped.
    Ignore,
    /// They are dropped with a warning.
    #[default]
    Warn,
    /// They are an error.
    Strict,
}

/// The options of create, update and patch.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Nothing is stored.
    pub dry_run: bool,
    /// How strictly fields are read.
    pub field_validation: FieldValidation,
}

impl WriteOptions {
    /// Reads the options; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    pub fn parse(query: &Query, kind: &str) -> Result<Self, ApiError> {
        let mut errors = Vec::new();
        if kind == "PatchOptions" && query.get("force").is_some() {
            let path = field::Path::new("force");
            errors.push(field::Error::forbidden(&path, "may not be specified for non-apply patch"));
        }
        if let Some(manager) = query.get("fieldManager") {
            check_manager(manager, &mut errors);
        }
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let field_validation = match query.get("fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let path = field::Path::new("fieldValidation");
                errors.push(field::Error::not_supported(&path, other, &["", "Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        match errors.as_slice() {
            [] => Ok(Self { dry_run, field_validation }),
            errors => Err(ApiError::invalid_kind("meta.k8s.io", kind, "", errors)),
        }
    }
}

/// Whether `dryRun` is `All`; anything else that it says is an error.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut field::Errors) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|value| *value != "All") {
        let shown = field::Shown::json(&values);
        errors.push(field::Error::not_supported(&field::Path::new("dryRun"), shown, &["All"]));
    }
    !values.is_empty()
}

/// `fieldManager` is at most 128 printable characters.
fn check_manager(manager: &str, errors: &mut field::Errors) {
    let path = field::Path::new("fieldManager");
    if manager.len() > 128 {
        errors.push(field::Error::too_long(&path, 128));
    }
    for (position, character) in manager.char_indices().filter(|(_, character)| character.is_control()) {
        let detail = format!("invalid character U+{:04X} (at position {position})", u32::from(character));
        errors.push(field::Error::invalid(&path, manager, detail));
    }
}
