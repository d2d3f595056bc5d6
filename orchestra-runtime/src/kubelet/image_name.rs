//! The names of images: `[HOST[:PORT]/]PATH[:TAG][@DIGEST]` (the grammar of `github.com/distribution/reference`).

/// The longest name without tag and digest.
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// Why something is no image's name, in the words that users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidImageName {
    #[error("invalid reference format")]
    Format,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("repository name must not be more than {MAX_NAME} characters")]
    Long,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Id(String),
}

/// Whether `image` is a name that registries can be asked for.
pub(super) fn check(image: &str) -> Result<(), InvalidImageName> {
    if image.len() == 64 && image.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(InvalidImageName::Id(image.to_owned()));
    }
    let (host, rest) = split_host(image);
    let path_and_tag = rest.split_once('@').map_or(rest, |(before, _)| before);
    let (path, tag) = path_and_tag.split_once(':').map_or((path_and_tag, None), |(path, tag)| (path, Some(tag)));
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(InvalidImageName::Uppercase(path.to_owned()));
    }
    let digest = rest.split_once('@').map(|(_, digest)| digest);
    let is_sound = host.is_none_or(is_host)
        && path.split('/').all(is_component)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(is_digest);
    match is_sound {
        false => Err(InvalidImageName::Format),
        true if host.map_or(0, |host| host.len() + 1) + path.len() > MAX_NAME => Err(InvalidImageName::Long),
        true => Ok(()),
    }
}

/// What stands before the first slash is a host if it looks like one.
fn split_host(image: &str) -> (Option<&str>, &str) {
    match image.split_once('/') {
        Some((host, rest))
            if host.contains(['.', ':']) || host == "localhost" || host.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(host), rest)
        }
        _ => (None, image),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let is_address = !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            return is_address && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_label = |label: &str| {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(is_label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Small letters and digits, with one dot, one or two underscores, or any number of hyphens between them.
fn is_component(component: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = component.split(is_letter).filter(|separator| !separator.is_empty());
    let is_separator = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    component.starts_with(is_letter) && component.ends_with(is_letter) && separators.into_iter().all(is_separator)
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let all = tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'));
    all && tag.len() <= MAX_TAG && tag.bytes().next().is_some_and(is_word)
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(is_part)
        && hex.len() >= 32
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_told_from_others() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let good =
            ["app", "app:v1", "a/b_c/d__e/f---g.h:T-1.x_", "localhost/a", "h.x:5000/a:1", "[::1]:5000/a", "HOST/a"];
        for name in good.into_iter().map(str::to_owned).chain([format!("a@{digest}"), format!("r.x/a:1@{digest}")]) {
            assert_eq!(check(&name), Ok(()), "{name}");
        }
        let bad = [
            "",
            ":1",
            "a:",
            "a:b:c",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a b",
            "a:-1",
            "a@",
            "a@sha256:00",
            "ä",
            "h.x:/a",
            ".x/a",
            "a@b",
            "-.x/a",
            "a:b/c",
        ];
        for name in bad {
            assert_eq!(check(name), Err(InvalidImageName::Format), "{name}");
        }
        assert_eq!(check(&format!("a:{}", "b".repeat(129))), Err(InvalidImageName::Format));
        assert_eq!(check(&"a".repeat(256)), Err(InvalidImageName::Long));
        assert_eq!(check(&"a".repeat(64)), Err(InvalidImageName::Id("a".repeat(64))));
        assert_eq!(check("r.x/No:1"), Err(InvalidImageName::Uppercase("No".to_owned())));
    }
}
