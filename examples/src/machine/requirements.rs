//! What the real machine must have.

use std::{env, fs, io, os::unix::fs::MetadataExt, path::Path};

use super::{containerd, image::BUSYBOX};

/// What is run, and the package of Debian that has it.
const PROGRAMS: [(&str, &str); 13] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("hostname", "hostname"),
    ("tar", "tar"),
    ("sha256sum", "coreutils"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
];
const CNI_PLUGINS: [&str; 4] = ["loopback", "ptp", "host-local", "portmap"];

/// Looks before anything is made.
///
/// # Errors
/// One that names all that is missing.
pub fn check() -> io::Result<()> {
    let mut missing = Vec::new();
    if fs::metadata("/proc/self")?.uid() != 0 {
        missing.push("root".to_owned());
    }
    let programs = PROGRAMS.iter().filter(|(program, _)| !is_on_path(program));
    missing.extend(programs.map(|(program, package)| format!("the program {program} (package {package})")));
    if !Path::new(BUSYBOX).exists() {
        missing.push(format!("{BUSYBOX} (package busybox-static)"));
    }
    let folder = containerd::plugins();
    let plugins = CNI_PLUGINS.iter().filter(|plugin| !Path::new(folder).join(plugin).exists());
    missing.extend(plugins.map(|plugin| format!("{folder}/{plugin} (package containernetworking-plugins)")));
    if missing.is_empty() { Ok(()) } else { Err(io::Error::other(format!("this needs {}", missing.join(", ")))) }
}

fn is_on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
