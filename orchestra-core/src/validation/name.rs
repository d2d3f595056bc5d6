//! The syntaxes of names (RFC 1123, RFC 1035) and of label keys and values.

/// The most characters of a DNS subdomain.
const SUBDOMAIN_MAX: usize = 253;
/// The most characters of a DNS label.
const LABEL_MAX: usize = 63;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/// What is wrong with `name` as a DNS subdomain (RFC 1123). Of a prefix (`generateName`) the end may be a dash.
pub fn subdomain(name: &str, is_prefix: bool) -> Option<String> {
    let name = masked(name, is_prefix);
    if name.len() > SUBDOMAIN_MAX {
        return Some(too_long(SUBDOMAIN_MAX));
    }
    (!name.split('.').all(is_label)).then(|| SUBDOMAIN.to_owned())
}

/// What is wrong with `name` as a DNS label (RFC 1123).
pub fn label(name: &str, is_prefix: bool) -> Option<String> {
    let name = masked(name, is_prefix);
    if name.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    (!is_label(&name)).then(|| LABEL.to_owned())
}

/// What is wrong with `name` as a DNS label of RFC 1035, which begins with a letter: a Service's name.
pub fn label_1035(name: &str, is_prefix: bool) -> Option<String> {
    let name = masked(name, is_prefix);
    if name.len() > LABEL_MAX {
        return Some(too_long(LABEL_MAX));
    }
    (!is_label(&name) || name.starts_with(|c: char| c.is_ascii_digit())).then(|| LABEL_1035.to_owned())
}

/// What is wrong with `name` as a part of a path, the least that any name must be.
pub fn path_segment(name: &str) -> Option<String> {
    if matches!(name, "." | "..") {
        return Some(format!("may not be '{name}'"));
    }
    ['/', '%'].into_iter().find(|c| name.contains(*c)).map(|c| format!("may not contain '{c}'"))
}

/// A generated name's prefix may end in a dash, since characters follow it.
fn masked(name: &str, is_prefix: bool) -> std::borrow::Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(head) if is_prefix && !head.is_empty() => format!("{head}a").into(),
        _ => name.into(),
    }
}

fn is_label(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            alphanumeric(*first) && alphanumeric(*last) && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
        }
        _ => false,
    }
}

fn too_long(max: usize) -> String {
    format!("must be no more than {max} bytes")
}
