//! Has the linker write the addresses that a program corrects when it is loaded in a packed way (RELR). Rust programs have a hundred thousand of them,
//! in tables of types: unpacked they are several megabytes, which are read at the start and stay in memory.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if loader_unpacks() {
        println!("cargo::rustc-link-arg-examples=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the program is for this machine, or one like it, and the loader here knows the packed way: glibc's does since 2.36.
fn loader_unpacks() -> bool {
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|found| found == value);
    if env::var("HOST") != env::var("TARGET")
        || !is("CARGO_CFG_TARGET_OS", "linux")
        || !is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        return false;
    }
    let Ok(asked) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else { return false };
    let said = String::from_utf8_lossy(&asked.stdout);
    let version = said.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    version.is_some_and(|(major, minor)| major == "2" && minor.parse().is_ok_and(|minor: u32| minor >= 36))
}
