//! Network namespaces of a test, gone when it ends, also by a panic.

use std::{
    fs::File,
    os::fd::AsFd,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// One network namespace.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Namespace {
    /// A new one with nothing but the loopback device.
    pub(crate) fn new(role: &str) -> Self {
        let name = format!("proxy-{}-{}-{role}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(&["ip", "netns", "add", &name]);
        let namespace = Self { name };
        namespace.run("ip link set lo up");
        namespace
    }

    /// Runs a program within; its words have no spaces.
    pub(crate) fn run(&self, words: &str) -> String {
        let mut command = vec!["ip", "netns", "exec", &self.name];
        command.extend(words.split_whitespace());
        run(&command)
    }

    /// Calls `work` on a thread within. The sockets that it makes and the programs that it starts belong to the namespace.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = File::open(format!("/run/netns/{}", self.name)).expect("the namespace");
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn run(command: &[&str]) -> String {
    let output = Command::new(command[0]).args(&command[1..]).output().expect("iproute2 is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} (needs root): {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
