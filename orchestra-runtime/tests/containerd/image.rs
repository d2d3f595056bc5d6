//! The images that tests need, made by hand.

use super::machine::image::Recipe;

/// What the names of most images here begin with.
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
/// Serves its host name on port 80 until it is told to end.
pub(crate) const WEB: &str = "registry.test/web:latest";
/// Is in the registry only.
pub(crate) const REMOTE: &str = "registry.test/remote:latest";
/// As [`WEB`], by the name that a pod says `nginx` for, and in the registry only.
pub(crate) const NGINX: &str = "docker.io/library/nginx:latest";
/// What holds a sandbox.
pub(crate) const PAUSE: &str = "registry.test/pause:latest";

/// Process 1 gets no signal that it does not ask for.
const OBEY: &str = "trap 'exit 0' TERM; sleep 2147483647 & wait";
/// Process 1 reaps the processes of the sandbox's containers where they share its process namespace; `wait` does so.
const REAP: &str = "while :; do sleep 2147483647 & wait; done";

const SERVE: &str =
    "mkdir /tmp/web; hostname >/tmp/web/index.html; trap 'exit 0' TERM; httpd -f -p 80 -h /tmp/web & wait";

/// All of them.
pub(crate) const RECIPES: [Recipe; 12] = [
    recipe(BUSYBOX, "", ""),
    recipe(FOREVER, OBEY, ""),
    recipe(STUBBORN, "trap '' TERM; while :; do sleep 2147483647; done", ""),
    recipe(EXIT_7, "exit 7", ""),
    recipe(LINES, "echo one; echo two; echo three >&2", ""),
    recipe(TWO_LINES, "echo one; echo two", ""),
    recipe(USER, OBEY, "1000:1001"),
    recipe(NAMED_USER, OBEY, "worker"),
    recipe(WEB, SERVE, ""),
    recipe(REMOTE, OBEY, ""),
    recipe(NGINX, SERVE, ""),
    recipe(PAUSE, REAP, ""),
];

const fn recipe(name: &'static str, script: &'static str, user: &'static str) -> Recipe {
    Recipe { name, script, user }
}

/// Whether nodes get it from the registry only.
pub(crate) fn is_remote(name: &str) -> bool {
    [REMOTE, NGINX].contains(&name)
}
