//! Manifests: YAML (or JSON) files of Kubernetes objects, read and created through any API server.
//!
//! Every error is one line that says which file, which document and, where one is known, which field.
//!
//! ```
//! use orchestra_runtime::manifest;
//! let documents = manifest::parse("pods.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n")?;
//! assert_eq!(documents.len(), 1);
//! assert_eq!(documents[0].kind(), "Pod");
//!
//! let error = manifest::parse("pods.yaml", "apiVersion: v1\nmetadata: {name: a}\n").unwrap_err();
//! assert_eq!(error.to_string(), "pods.yaml: document 1: kind: Required value");
//! # Ok::<(), manifest::ManifestError>(())
//! ```

mod create;
mod error;
mod list;
mod split;
mod yaml;

use std::path::Path;

use serde_json::Value;

pub use self::{
    create::create,
    error::{ManifestError, Problem},
};

/// One object of a manifest, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    file: String,
    number: usize,
    /// Where in its document the object is: of an item of a list `items[0]`, else empty.
    path: String,
    object: Value,
}

impl Document {
    /// The object's `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.object["apiVersion"].as_str().unwrap_or_default()
    }

    /// The object's `kind`.
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// The whole object.
    pub fn object(&self) -> &Value {
        &self.object
    }

    fn error(&self, problem: Problem) -> ManifestError {
        let Self { file, number, path, .. } = self;
        ManifestError { file: file.clone(), document: Some(*number), path: path.clone(), problem: Box::new(problem) }
    }
}

/// Reads the file at `path`; see [`parse`].
pub fn read(path: &Path) -> Result<Vec<Document>, ManifestError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ManifestError::of_file(&file, Problem::Unreadable(error)))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        ManifestError::of_file(&file, Problem::NotUtf8 { offset })
    })?;
    parse(&file, &text)
}

/// Parses the documents of a manifest, in order; `file` is its name in errors. Empty documents are skipped but counted, and
/// the items of a list become documents of their own, as kubectl does both.
pub fn parse(file: &str, text: &str) -> Result<Vec<Document>, ManifestError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut documents = Vec::new();
    for (index, part) in split::documents(text).enumerate() {
        let document = |path, object| Document { file: file.to_owned(), number: index + 1, path, object };
        let object = yaml::parse(&part).map_err(|problem| document(String::new(), Value::Null).error(problem))?;
        for (path, object) in list::objects(object) {
            let document = document(path, object);
            if document.object.is_null() {
                continue;
            }
            check_type(&document.object).map_err(|problem| document.error(problem))?;
            documents.push(document);
        }
    }
    if documents.is_empty() {
        return Err(ManifestError::of_file(file, Problem::Empty));
    }
    Ok(documents)
}

fn check_type(object: &Value) -> Result<(), Problem> {
    if !object.is_object() {
        return Err(Problem::NotAnObject);
    }
    for field in ["apiVersion", "kind"] {
        match &object[field] {
            Value::String(text) if !text.is_empty() => {}
            Value::Null | Value::String(_) => return Err(Problem::Required { field }),
            _ => return Err(Problem::NotAString { field }),
        }
    }
    // A list with items has been taken apart.
    if object["apiVersion"] == "v1" && object["kind"] == "List" {
        return Err(Problem::NotAList { field: "items" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        parse("m.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn documents_are_numbered_with_the_empty_ones_counted() {
        let text = "---\n# nothing\n---\nkind: Pod\n";
        assert_eq!(message(text), "m.yaml: document 2: apiVersion: Required value");
    }

    #[test]
    fn json_objects_may_follow_each_other() {
        let stream = "{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}\n{\"apiVersion\": \"v1\",\n\"kind\": \"Secret\"}\n";
        let kinds: Vec<String> = parse("m.json", stream).unwrap().iter().map(|d| d.kind().to_owned()).collect();
        assert_eq!(kinds, ["Pod", "Secret"]);
        assert_eq!(message(&format!("{stream}{{\"kind\": 5}}")), "m.yaml: document 3: apiVersion: Required value");
        let repeated = format!("{stream}\n{{\"kind\": 5,\n\"kind\": 6}}");
        let expected = "m.yaml: document 3: cannot be read as YAML: line 6: key \"kind\" already set in map";
        assert_eq!(message(&repeated), expected);
    }

    #[test]
    fn a_list_gives_its_items() {
        let text =
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- {apiVersion: v1, kind: Secret}\n";
        let kinds: Vec<String> = parse("m.yaml", text).unwrap().iter().map(|d| d.kind().to_owned()).collect();
        assert_eq!(kinds, ["Pod", "Secret"]);
    }

    #[test]
    fn lists_of_one_kind_need_not_repeat_it_and_lists_may_be_in_lists() {
        let text =
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: PodList, items: [{}, {kind: Secret}]}\n";
        let message = message(text);
        assert_eq!(message, "m.yaml: document 1: items[0].items[1].apiVersion: Required value");
        let text = "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: a}}]\n";
        let documents = parse("m.yaml", text).unwrap();
        assert_eq!((documents[0].kind(), documents[0].api_version()), ("Pod", "v1"));
    }

    #[test]
    fn a_list_without_items_says_so() {
        for items in ["", "items: a\n"] {
            let text = format!("apiVersion: v1\nkind: List\n{items}");
            assert_eq!(message(&text), "m.yaml: document 1: items: a list was expected");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_document() {
        assert_eq!(message("\u{feff}---\nkind: Pod\n"), "m.yaml: document 1: apiVersion: Required value");
    }

    #[test]
    fn a_file_without_an_object_is_an_error() {
        assert_eq!(message("\n# only a comment\n"), "m.yaml: no objects found");
    }

    #[test]
    fn a_scalar_is_not_an_object() {
        assert_eq!(message("hello"), "m.yaml: document 1: an object was expected");
    }

    #[test]
    fn a_kind_that_is_a_number_is_named() {
        assert_eq!(message("apiVersion: v1\nkind: 5\n"), "m.yaml: document 1: kind: a string was expected");
    }

    #[test]
    fn a_missing_file_says_so() {
        let error = read(Path::new("no/such/file.yaml")).unwrap_err();
        assert!(error.to_string().starts_with("no/such/file.yaml: cannot be read: "), "{error}");
    }
}
