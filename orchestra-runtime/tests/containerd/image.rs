//! Images made by hand: busybox in one layer that all of them share, with different configurations.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};

/// What the names of all images here begin with.
pub(crate) const REGISTRY: &str = "registry.test";
/// A shell that ends at once, for commands of the test's own.
pub(crate) const BUSYBOX: &str = "registry.test/busybox:latest";
/// Runs until it is told to end.
pub(crate) const FOREVER: &str = "registry.test/forever:latest";
/// Runs, and takes no notice of SIGTERM.
pub(crate) const STUBBORN: &str = "registry.test/stubborn:latest";
/// Ends with code 7.
pub(crate) const EXIT_7: &str = "registry.test/exit-7:latest";
/// Writes `one` and `two` to standard output and `three` to standard error, and ends.
pub(crate) const LINES: &str = "registry.test/lines:latest";
/// Writes `one` and `two` to standard output, and ends.
pub(crate) const TWO_LINES: &str = "registry.test/two-lines:latest";
/// Runs until it is told to end, as user 1000 and group 1001.
pub(crate) const USER: &str = "registry.test/user:latest";
/// The same, and its user has a name instead of a number.
pub(crate) const NAMED_USER: &str = "registry.test/named-user:latest";
/// Is in the registry only.
pub(crate) const REMOTE: &str = "registry.test/remote:latest";
/// What holds a sandbox.
pub(crate) const PAUSE: &str = "registry.test/pause:latest";

/// Process 1 gets no signal that it does not ask for.
const OBEY: &str = "trap 'exit 0' TERM; sleep 2147483647 & wait";
/// Process 1 reaps the processes of the sandbox's containers where they share its process namespace; `wait` does so.
const REAP: &str = "while :; do sleep 2147483647 & wait; done";

const COMMANDS: [(&str, &str, &str); 10] = [
    (BUSYBOX, "", ""),
    (FOREVER, OBEY, ""),
    (STUBBORN, "trap '' TERM; while :; do sleep 2147483647; done", ""),
    (EXIT_7, "exit 7", ""),
    (LINES, "echo one; echo two; echo three >&2", ""),
    (TWO_LINES, "echo one; echo two", ""),
    (USER, OBEY, "1000:1001"),
    (NAMED_USER, OBEY, "worker"),
    (REMOTE, OBEY, ""),
    (PAUSE, REAP, ""),
];

/// A manifest, a configuration or a layer, by its digest.
pub(crate) struct Blob {
    pub(crate) media_type: &'static str,
    pub(crate) digest: String,
    pub(crate) content: Vec<u8>,
}

/// An image by name, `registry.test/NAME:latest`.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    pub(crate) manifest: String,
}

/// All images, in the form of the OCI's image specification.
pub(crate) struct Images {
    pub(crate) named: Vec<Named>,
    pub(crate) blobs: Vec<Blob>,
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Images {
    /// Makes all of them in `folder`, which must not be there yet.
    pub(crate) fn make(folder: &Path) -> Self {
        let layer = Blob::new(folder, LAYER, layer(folder));
        let mut images = Self { named: Vec::new(), blobs: vec![layer] };
        for (name, script, user) in COMMANDS {
            images.add(folder, name, script, user);
        }
        images
    }

    fn add(&mut self, folder: &Path, name: &'static str, script: &str, user: &str) {
        let layer = &self.blobs[0];
        let command = if script.is_empty() { json!(["sh"]) } else { json!(["sh", "-c", script]) };
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": {"Cmd": command, "Env": ["PATH=/bin"], "User": user, "Labels": {"name": name}},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = Blob::new(folder, CONFIG, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": [layer.descriptor()],
        });
        let manifest = Blob::new(folder, MANIFEST, manifest.to_string().into_bytes());
        self.named.push(Named { name, manifest: manifest.digest.clone() });
        self.blobs.extend([config, manifest]);
    }

    /// Writes an archive that `ctr images import` reads, of the images that `is_local`.
    pub(crate) fn archive(&self, folder: &Path, is_local: impl Fn(&str) -> bool) {
        let (layout, archive) = (folder.join("layout"), folder.join("images.tar"));
        fs::create_dir_all(layout.join("blobs/sha256")).expect("a folder");
        for blob in &self.blobs {
            let file = layout.join("blobs").join(blob.digest.replace(':', "/"));
            fs::write(file, &blob.content).expect("a file");
        }
        let manifests = self.named.iter().filter(|image| is_local(image.name)).map(|image| {
            let mut entry = self.blob(&image.manifest).expect("of an image").descriptor();
            entry["annotations"] = json!({"io.containerd.image.name": image.name});
            entry
        });
        let index = json!({"schemaVersion": 2, "manifests": manifests.collect::<Vec<_>>()});
        fs::write(layout.join("index.json"), index.to_string()).expect("a file");
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).expect("a file");
        tar(&layout, &archive);
    }

    pub(crate) fn blob(&self, digest: &str) -> Option<&Blob> {
        self.blobs.iter().find(|blob| blob.digest == digest)
    }
}

impl Blob {
    fn new(folder: &Path, media_type: &'static str, content: Vec<u8>) -> Self {
        let file = folder.join("blob");
        fs::write(&file, &content).expect("a file");
        let output = Command::new("sha256sum").arg(&file).output().expect("sha256sum");
        let sum = String::from_utf8(output.stdout).expect("a sum");
        let digest = format!("sha256:{}", sum.split(' ').next().expect("a sum"));
        Self { media_type, digest, content }
    }

    fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.content.len()})
    }
}

/// A file system with busybox and its applets, as an archive.
fn layer(folder: &Path) -> Vec<u8> {
    let (root, archive) = (folder.join("root"), folder.join("layer.tar"));
    for part in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
        fs::create_dir_all(root.join(part)).expect("a folder");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static must be installed");
    let applets = Command::new("/bin/busybox").arg("--list").output().expect("busybox");
    for applet in String::from_utf8(applets.stdout).expect("names").lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).expect("a link");
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nworker:x:1000:1001:worker:/tmp:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).expect("a file");
    fs::write(root.join("etc/group"), "root:x:0:\nworkers:x:1001:\n").expect("a file");
    tar(&root, &archive);
    fs::read(&archive).expect("the archive")
}

/// Archives what is in `folder`, always in the same way.
fn tar(folder: &Path, archive: &Path) {
    let status = Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u+rwX,go+rX"])
        .arg("-cf")
        .arg(archive)
        .arg("-C")
        .arg(folder)
        .arg(".")
        .status()
        .expect("tar");
    assert!(status.success(), "tar: {status}");
}
