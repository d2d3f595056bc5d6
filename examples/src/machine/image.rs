//! Images made by hand, so that no registry is needed: busybox in one layer that all of them share, with different configurations.

use std::{fs, io, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};

use super::program::output;

/// The program that all images are made of. It must be linked statically, as there is nothing else in them.
pub const BUSYBOX: &str = "/bin/busybox";

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What an image is.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Its full name, `registry.test/forever:latest`.
    pub name: &'static str,
    /// What its containers run, by a shell; empty for the shell itself.
    pub script: &'static str,
    /// The user and group that they run as, `1000:1001`; empty for root.
    pub user: &'static str,
}

/// A manifest, a configuration or a layer, by its digest.
#[derive(Debug)]
pub struct Blob {
    /// The type of the content.
    pub media_type: &'static str,
    /// `sha256:` and so on.
    pub digest: String,
    /// The content.
    pub content: Vec<u8>,
}

/// An image by name.
#[derive(Debug)]
pub struct Named {
    /// The name in its recipe.
    pub name: &'static str,
    /// The digest of its manifest.
    pub manifest: String,
}

/// Some images, in the form of the OCI's image specification.
#[derive(Debug)]
pub struct Images {
    /// In the order of their recipes.
    pub named: Vec<Named>,
    /// What they consist of.
    pub blobs: Vec<Blob>,
}

impl Images {
    /// Makes images in the folder `folder`, which must be empty.
    ///
    /// # Errors
    /// When a file cannot be written, or busybox, `tar` or `sha256sum` cannot be run.
    pub fn make(folder: &Path, recipes: &[Recipe]) -> io::Result<Self> {
        let layer = Blob::new(folder, LAYER, layer(folder)?)?;
        let mut images = Self { named: Vec::new(), blobs: Vec::new() };
        for recipe in recipes {
            images.add(folder, recipe, &layer)?;
        }
        images.blobs.push(layer);
        Ok(images)
    }

    fn add(&mut self, folder: &Path, recipe: &Recipe, layer: &Blob) -> io::Result<()> {
        let Recipe { name, script, user } = *recipe;
        let command = if script.is_empty() { json!(["sh"]) } else { json!(["sh", "-c", script]) };
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Cmd": command, "Env": ["PATH=/bin"], "User": user, "Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = Blob::new(folder, CONFIG, config.to_string().into_bytes())?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        });
        let manifest = Blob::new(folder, MANIFEST, manifest.to_string().into_bytes())?;
        self.named.push(Named { name, manifest: manifest.digest.clone() });
        self.blobs.extend([config, manifest]);
        Ok(())
    }

    /// Writes `images.tar` to the folder `folder`, for `ctr images import`, with the images whose names are `wanted`.
    ///
    /// # Errors
    /// When a file cannot be written, or `tar` cannot be run.
    pub fn archive(&self, folder: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        let layout = folder.join("layout");
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        for blob in &self.blobs {
            fs::write(layout.join("blobs").join(blob.digest.replace(':', "/")), &blob.content)?;
        }
        let manifests = self.named.iter().filter(|image| wanted(image.name)).filter_map(|image| {
            let mut entry = self.blob(&image.manifest)?.descriptor();
            entry["annotations"] = json!({"io.containerd.image.name": image.name});
            Some(entry)
        });
        let index = json!({"schemaVersion": 2, "manifests": manifests.collect::<Vec<_>>()});
        fs::write(layout.join("index.json"), index.to_string())?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)?;
        tar(&layout, &folder.join("images.tar"))
    }

    /// The blob with this digest.
    pub fn blob(&self, digest: &str) -> Option<&Blob> {
        self.blobs.iter().find(|blob| blob.digest == digest)
    }
}

impl Blob {
    fn new(folder: &Path, media_type: &'static str, content: Vec<u8>) -> io::Result<Self> {
        let file = folder.join("blob");
        fs::write(&file, &content)?;
        let sum = output(Command::new("sha256sum").arg(&file))?;
        let digest = format!("sha256:{}", sum.split(' ').next().unwrap_or_default());
        Ok(Self { media_type, digest, content })
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.content.len()})
    }
}

/// A file system with busybox and its applets, as an archive.
fn layer(folder: &Path) -> io::Result<Vec<u8>> {
    let (root, archive) = (folder.join("root"), folder.join("layer.tar"));
    for part in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
        fs::create_dir_all(root.join(part))?;
    }
    fs::copy(BUSYBOX, root.join("bin/busybox"))?;
    for applet in output(Command::new(BUSYBOX).arg("--list"))?.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001:worker:/tmp:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nworkers:x:1001:\n")?;
    tar(&root, &archive)?;
    fs::read(&archive)
}

/// Archives what is in `folder`, always in the same way.
fn tar(folder: &Path, archive: &Path) -> io::Result<()> {
    let same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go+rX"];
    output(Command::new("tar").args(same).arg("-cf").arg(archive).arg("-C").arg(folder).arg(".")).map(drop)
}
