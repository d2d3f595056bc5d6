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
mod split;

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
        ManifestError { file: self.file.clone(), document: Some(self.number), problem }
    }
}

/// Reads the file at `path`; see [`parse`].
pub fn read(path: &Path) -> Result<Vec<Document>, ManifestError> {
    let file = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| ManifestError {
        file: file.clone(),
        document: None,
        problem: Problem::Unreadable(error),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| ManifestError {
        file: file.clone(),
        document: None,
        problem: Problem::NotUtf8 { offset: error.utf8_error().valid_up_to() },
    })?;
    parse(&file, &text)
}

/// Parses the documents of a manifest, in order; `file` is its name in errors. Empty documents are skipped but counted, and
/// the items of a `List` become documents of their own, as kubectl does both.
pub fn parse(file: &str, text: &str) -> Result<Vec<Document>, ManifestError> {
    let mut documents = Vec::new();
    for (index, part) in split::documents(text).enumerate() {
        let number = index + 1;
        let error = |problem| ManifestError { file: file.to_owned(), document: Some(number), problem };
        let object: Value = serde_saphyr::from_str(part.text).map_err(|e| error(Problem::not_yaml(&e, part.line)))?;
        for object in items(object) {
            if object.is_null() {
                continue;
            }
            check_type(&object).map_err(error)?;
            documents.push(Document { file: file.to_owned(), number, object });
        }
    }
    if documents.is_empty() {
        return Err(ManifestError { file: file.to_owned(), document: None, problem: Problem::Empty });
    }
    Ok(documents)
}

/// The objects of a `v1` `List`; any other object itself.
fn items(mut object: Value) -> Vec<Value> {
    if object["kind"] == "List"
        && let Some(Value::Array(items)) = object.get_mut("items").map(Value::take)
    {
        return items;
    }
    vec![object]
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
    fn a_list_gives_its_items() {
        let text =
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n- {apiVersion: v1, kind: Secret}\n";
        let kinds: Vec<String> = parse("m.yaml", text).unwrap().iter().map(|d| d.kind().to_owned()).collect();
        assert_eq!(kinds, ["Pod", "Secret"]);
    }

    #[test]
    fn a_file_without_an_object_is_an_error() {
        assert_eq!(message("\n# only a comment\n"), "m.yaml: no objects found");
    }

    #[test]
    fn text_that_is_not_yaml_names_the_line_of_the_file() {
        let text = "apiVersion: v1\nkind: Pod\n---\nkind: [\n";
        let message = message(text);
        assert!(message.starts_with("m.yaml: document 2: not YAML: line "), "{message}");
        assert!(!message.contains('\n'), "{message}");
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
