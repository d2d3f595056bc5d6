/// The place of an image, or what of places credentials are for: a host, with a port or not, and a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// First, so that what has a longer path sorts after what has a part of it.
    path: String,
    host: String,
    port: Option<String>,
}

/// What images without a registry come from.
const HUB: &str = "index.docker.io";

impl Address {
    /// As a key of a configuration file has it: `https://index.docker.io/v1/`, `*.example:5000/team`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        if host.is_empty() {
            return None;
        }
        // The version of the registry's API is not part of the name.
        let path = path.trim_end_matches('/');
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        Some(Self::new(host, path))
    }

    /// Of an image, as a pod names it.
    pub(super) fn of_image(image: &str) -> Self {
        let image = image.split_once('@').map_or(image, |(name, _)| name);
        match image.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => Self::new(host, path),
            _ => Self::new(HUB, image),
        }
    }

    fn new(host: &str, path: &str) -> Self {
        let (host, port) = match host.split_once(':') {
            Some((host, port)) => (host, Some(port.to_owned())),
            None => (host, None),
        };
        let host = if host == "docker.io" { HUB } else { host };
        Self { path: path.to_owned(), host: host.to_owned(), port }
    }

    /// Whether credentials for this are good for `image`. Each part of the host may be a pattern.
    pub(super) fn covers(&self, image: &Self) -> bool {
        let (parts, of_image): (Vec<&str>, Vec<&str>) =
            (self.host.split('.').collect(), image.host.split('.').collect());
        self.port == image.port
            && parts.len() == of_image.len()
            && parts.iter().zip(&of_image).all(|(pattern, part)| fits(pattern, part))
            && image.path.starts_with(&self.path)
    }
}

/// Whether a text fits a pattern in which `*` stands for any number of letters.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_letters() {
        for (pattern, text, good) in [
            ("*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abb", false),
            ("*b*", "abc", true),
            ("a", "ab", false),
            ("*", "ä", true),
        ] {
            assert_eq!(fits(pattern, text), good, "{pattern} {text}");
        }
    }
}
