//! One document's YAML, read as Kubernetes reads it.

use serde_json::Value;
use serde_saphyr::{Error, MessageFormatter as _, UserMessageFormatter, budget::BudgetBreach};

use super::{Problem, error::one_line, split::Part};

/// The object of a document. Keys that occur twice are errors. Numbers that begin with a zero are octal, as in YAML 1.1, which
/// Kubernetes keeps to: file modes are written so.
pub(super) fn parse(part: &Part<'_>) -> Result<Value, Problem> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(part.text, options).map_err(|error| {
        let error = error.without_snippet();
        let line = error.location().map_or(1, |location| usize::try_from(location.line()).unwrap_or(usize::MAX));
        Problem::NotYaml { line: part.line + line, message: one_line(&message(error)) }
    })
}

/// What is wrong, without where.
fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => message(error),
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("key {key:?} already set in map"),
        Error::Budget { breach: BudgetBreach::Depth { depth }, .. } => format!("nested {depth} deep or deeper"),
        Error::Budget { breach: BudgetBreach::Nodes { .. }, .. } => {
            "too many values, counting what aliases stand for".to_owned()
        }
        other => UserMessageFormatter.format_message(other).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(text: &str) -> Result<Value, String> {
        parse(&Part { text, line: 10 }).map_err(|problem| problem.to_string())
    }

    fn refused(text: &str) -> String {
        parsed(text).unwrap_err()
    }

    #[test]
    fn what_is_no_yaml_names_the_line_of_the_file_and_no_other() {
        assert_eq!(
            refused("a:\n\tb: c\n"),
            "cannot be read as YAML: line 12: tabs disallowed within this context (block indentation)"
        );
        assert_eq!(refused("a: [\n"), "cannot be read as YAML: line 11: unclosed bracket '['");
    }

    #[test]
    fn a_key_that_occurs_twice_is_named() {
        assert_eq!(refused("a: b\nc: d\na: e\n"), "cannot be read as YAML: line 13: key \"a\" already set in map");
    }

    #[test]
    fn nesting_has_an_end() {
        let text = "[".repeat(100) + &"]".repeat(100);
        assert_eq!(refused(&text), "cannot be read as YAML: line 11: nested 65 deep or deeper");
    }

    #[test]
    fn aliases_do_not_grow_without_bound() {
        let mut text = "a0: &a0 [x]\n".to_owned();
        for i in 1..10 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(",");
            text += &format!("a{i}: &a{i} [{aliases}]\n");
        }
        let message = refused(&text);
        assert!(message.ends_with("too many values, counting what aliases stand for"), "{message}");
    }

    #[test]
    fn numbers_are_those_of_yaml_1_1() {
        let text = "{octal: 0644, new octal: 0o644, hex: 0x1A4, decimal: 420, text: '0644'}";
        let expected = json!({"octal": 420, "new octal": 420, "hex": 420, "decimal": 420, "text": "0644"});
        assert_eq!(parsed(text), Ok(expected));
    }

    #[test]
    fn words_for_true_and_false_are_those_of_yaml_1_1() {
        assert_eq!(parsed("[yes, No, on, OFF, true]"), Ok(json!([true, false, true, false, true])));
        assert_eq!(parsed("[y, n, 'yes', ~, null]"), Ok(json!([true, false, "yes", null, null])));
    }
}
