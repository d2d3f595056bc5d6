use std::fmt;

use crate::kubelet::probe::address::join;

/// What is asked for: host without brackets, path with the query and without the fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

impl Url {
    /// Where a reference leads that is read here (RFC 3986, 5.2); `None` for what is no address of a web server.
    pub(super) fn join(&self, reference: &str) -> Option<Self> {
        let reference = reference.split('#').next().unwrap_or_default();
        let (tls, rest) = match scheme(reference) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some(_) => return None,
            None => (self.tls, reference),
        };
        if let Some(rest) = rest.strip_prefix("//") {
            return Self::absolute(tls, rest);
        }
        let (own, _) = self.path.split_once('?').unwrap_or((&self.path, ""));
        let path = match rest.as_bytes().first() {
            None => self.path.clone(),
            Some(b'/') => rest.to_owned(),
            Some(b'?') => format!("{own}{rest}"),
            Some(_) => format!("{}/{rest}", own.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Some(Self { tls, path: origin_form(&without_dots(&path)), ..self.clone() })
    }

    fn absolute(tls: bool, rest: &str) -> Option<Self> {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':').unwrap_or_default()),
            None => authority.split_once(':').unwrap_or((authority, "")),
        };
        let port = if port.is_empty() { if tls { 443 } else { 80 } } else { port.parse().ok()? };
        Some(Self { tls, host: host.to_owned(), port, path: origin_form(&without_dots(path)) })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", join(&self.host, self.port), self.path)
    }
}

/// The scheme that a reference begins with, if it does, and what follows it.
pub(super) fn scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let rest_of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(rest_of_scheme))
        .then_some((scheme, rest))
}

/// A path whose parts `.` and `..` are followed.
fn without_dots(path: &str) -> String {
    let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut parts = Vec::new();
    let mut is_folder = false;
    for part in path.split('/').skip(1) {
        is_folder = matches!(part, "." | "..");
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if is_folder {
        parts.push("");
    }
    format!("/{}{query}", parts.join("/"))
}

/// The path with its query as a request has it, what may not stand there escaped.
pub(super) fn origin_form(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut form = if path.starts_with('/') { String::new() } else { "/".to_owned() };
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0..=b' ' | 127.. => {
                form.push_str(&format!("%{byte:02X}"));
            }
            _ => form.push(char::from(byte)),
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_fit_for_a_request() {
        for (path, form) in
            [("", "/"), ("healthz", "/healthz"), ("/a b?x={1}#part", "/a%20b?x=%7B1%7D"), ("/ä%20", "/%C3%A4%20")]
        {
            assert_eq!(origin_form(path), form);
        }
    }

    #[test]
    fn redirects_lead_where_they_say() {
        let url = Url { tls: false, host: "10.0.0.1".into(), port: 8080, path: "/a/b?q=1".into() };
        let joined = |location: &str| url.join(location).map(|url| url.to_string());
        for (location, expected) in [
            ("/c", "http://10.0.0.1:8080/c"),
            ("c", "http://10.0.0.1:8080/a/c"),
            ("../c/./d/..?x=/..#part", "http://10.0.0.1:8080/c/?x=/.."),
            ("../../../..", "http://10.0.0.1:8080/"),
            ("?q=2", "http://10.0.0.1:8080/a/b?q=2"),
            ("", "http://10.0.0.1:8080/a/b?q=1"),
            ("//other:81/x", "http://other:81/x"),
            ("https://10.0.0.1/c d", "https://10.0.0.1:443/c%20d"),
            ("HTTPS://10.0.0.1", "https://10.0.0.1:443/"),
            ("http://user:word@host?x", "http://host:80/?x"),
            ("http://[fd00::1]:81/", "http://[fd00::1]:81/"),
        ] {
            assert_eq!(joined(location).as_deref(), Some(expected), "{location}");
        }
        assert_eq!(joined("ftp://10.0.0.1/"), None);
        assert_eq!(joined("http://10.0.0.1:many/"), None);
    }
}
