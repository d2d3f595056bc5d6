use std::{collections::BTreeMap, fmt};

/// What names an image: `nginx`, `registry.example/app:1.2`, `app@sha256:...`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageSpec(pub String);

impl fmt::Display for ImageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ImageSpec {
    fn from(image: &str) -> Self {
        Self(image.to_owned())
    }
}

/// An image that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// The names with tags that it has.
    pub repo_tags: Vec<String>,
    /// The names with digests that it has.
    pub repo_digests: Vec<String>,
    /// Bytes on disk.
    pub size: u64,
    /// The number of the user that its containers run as, if it names one by number; without this and
    /// [`username`](Self::username) they run as root.
    pub uid: Option<i64>,
    /// The name of that user, if it names one by name.
    pub username: String,
    /// Whether it is to stay though no container has it: the image of sandboxes, for instance. CRI says so since containerd 1.7.
    pub pinned: bool,
    /// Data about it.
    pub annotations: BTreeMap<String, String>,
}

/// Who asks a registry for an image. Never shown in logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistryAuth {
    /// The user.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// A token that stands for both.
    pub identity_token: String,
    /// Which registry it is for; the image's own if empty.
    pub server_address: String,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth").field("username", &self.username).finish_non_exhaustive()
    }
}
