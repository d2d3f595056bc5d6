//! The query parameters of a request, checked as Kubernetes checks them.

use std::time::Duration;

use orchestra_core::{
    selector::{field as field_selector, label as label_selector},
    store::Revision,
};

use crate::apiserver::{field, registry::Resource, status::ApiError};

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

    fn integer(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            None | Some("") => Ok(None),
            Some(text) => text.parse().map(Some).map_err(|_| ApiError::bad_request(parse_error("ParseInt", text))),
        }
    }
}

fn parse_error(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: invalid syntax")
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
    /// Whether a watch begins with the present state and a bookmark after it.
    pub send_initial_events: bool,
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
            send_initial_events: send_initial_events.unwrap_or(false),
            timeout: timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs),
        })
    }

    /// Refuses fields that the kind cannot be selected by.
    pub fn check_fields(&self, resource: &Resource) -> Result<(), ApiError> {
        let known = resource.rules.selectable_fields();
        for requirement in self.fields.requirements() {
            let field = requirement.field.as_str();
            let metadata = field == "metadata.name" || (field == "metadata.namespace" && resource.namespaced);
            if metadata || known.contains(&field) {
                continue;
            }
            let message = match known {
                [] if resource.namespaced => {
                    format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
                }
                [] => format!("{field:?} is not a known field selector: only \"metadata.name\""),
                _ => format!("field label not supported: {field}"),
            };
            return Err(ApiError::bad_request(message));
        }
        Ok(())
    }
}

/// `metav1.ListOptions`' validation.
fn check(
    watch: bool,
    version: Option<&str>,
    version_match: Option<&str>,
    send_initial_events: Option<bool>,
    continues: bool,
) -> field::Errors {
    let path = field::Path::new("resourceVersionMatch");
    let mut errors = Vec::new();
    if let Some(initial) = send_initial_events {
        let initial_path = field::Path::new("sendInitialEvents");
        if !watch {
            errors.push(field::Error::forbidden(&initial_path, "sendInitialEvents is forbidden for list"));
            return errors;
        }
        if version_match.is_none() {
            let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            errors.push(field::Error::forbidden(&path, detail));
        } else if initial && version_match != Some("NotOlderThan") {
            errors.push(field::Error::not_supported(&path, version_match.unwrap_or_default(), &["NotOlderThan"]));
        }
        return errors;
    }
    let Some(version_match) = version_match else { return errors };
    if watch {
        errors.push(field::Error::forbidden(
            &path,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
        return errors;
    }
    if version.is_none() {
        let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        errors.push(field::Error::forbidden(&path, detail));
    }
    if continues {
        errors.push(field::Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
    }
    if !matches!(version_match, "Exact" | "NotOlderThan") {
        let mut error = field::Error::not_supported(&path, version_match, &[]);
        error.body.push_str(r#""Exact", "NotOlderThan", """#);
        errors.push(error);
    }
    if version_match == "Exact" && version == Some("0") {
        let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        errors.push(field::Error::forbidden(&path, detail));
    }
    errors
}

/// A `resourceVersion`, with the words for one that is none.
pub fn parse_version(text: &str, watch: bool) -> Result<Revision, ApiError> {
    text.parse().map_err(|_| {
        let error = format!("resourceVersion: Invalid value: {text:?}: {}", parse_error("ParseUint", text));
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
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let field_validation = match query.get("fieldValidation") {
            None | Some("" | "Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let path = field::Path::new("fieldValidation");
                errors.push(field::Error::not_supported(&path, other, &["Ignore", "Strict", "Warn"]));
                FieldValidation::Warn
            }
        };
        if let Some(manager) = query.get("fieldManager") {
            check_manager(manager, &mut errors);
        }
        match errors.as_slice() {
            [] => Ok(Self { dry_run, field_validation }),
            errors => Err(ApiError::invalid_kind("meta.k8s.io", kind, "", errors)),
        }
    }
}

/// Whether `dryRun` is `All`; anything else that it says is an error.
pub fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut field::Errors) -> bool {
    let values: Vec<&str> = values.filter(|value| !value.is_empty()).collect();
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
    if manager.chars().any(char::is_control) {
        errors.push(field::Error::invalid(&path, manager, "should only contain printable characters"));
    }
}
