//! Qualified names (`example.com/my.name`): the keys of labels, annotations and taints, and the values of labels.

use super::name;

/// The most bytes of a name part and of a label's value.
const MAX: usize = 63;

const QUALIFIED_NAME: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// What is wrong with `key` as a qualified name: an optional DNS subdomain and a slash, then a name of at most 63 bytes.
pub fn key(key: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut parts = key.splitn(3, '/');
    let name = match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
        (name, None, _) => name,
        (prefix, Some(name), None) => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".to_owned());
            } else {
                errors.extend(name::subdomain(prefix, false).map(|error| format!("prefix part {error}")));
            }
            name
        }
        _ => {
            return vec![format!(
                "a qualified name {QUALIFIED_NAME} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > MAX {
        errors.push(format!("name part must be no more than {MAX} bytes"));
    }
    if !is_name(name) {
        errors.push(format!("name part {QUALIFIED_NAME}"));
    }
    errors
}

/// What is wrong with `value` as the value of a label; it may be empty.
pub fn label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > MAX {
        errors.push(format!("must be no more than {MAX} bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        errors.push(LABEL_VALUE.to_owned());
    }
    errors
}

fn is_name(name: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = name.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_and_without_a_prefix() {
        for good in ["app", "a", "my.name_x-1", "example.com/App", "kubernetes.io/arch"] {
            assert_eq!(key(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(key("")[0], "name part must be non-empty");
        assert_eq!(key("/a"), ["prefix part must be non-empty"]);
        assert!(key("A.com/a")[0].starts_with("prefix part a lowercase RFC 1123 subdomain must consist"));
        assert!(key("a/b/c")[0].starts_with("a qualified name must consist of alphanumeric characters"));
        assert_eq!(key(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
        assert!(key("a b")[0].starts_with("name part must consist of"));
    }

    #[test]
    fn values_may_be_empty_but_not_odd() {
        assert!(label_value("").is_empty() && label_value("v1.2_x").is_empty());
        assert!(label_value("-a")[0].starts_with("a valid label must be an empty string or consist of"));
        assert_eq!(label_value(&"a".repeat(64)), ["must be no more than 63 bytes"]);
    }
}
