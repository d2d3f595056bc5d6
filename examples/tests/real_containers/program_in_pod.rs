//! This program as what a container runs, with the machine's libraries: the images have no more than busybox, which does not speak UDP.

use std::{env, path::Path};

/// Where it is in containers.
pub(crate) const PROGRAM: &str = "/program";

/// A pod whose container runs the test `entry`, which is to be ignored otherwise, with these variables.
pub(crate) fn pod(name: &str, labels: &str, entry: &str, variables: &[(&str, &str)]) -> String {
    let command = [PROGRAM, "--exact", entry, "--ignored", "--nocapture"];
    let (mut mounts, mut volumes) = (Vec::new(), Vec::new());
    let program = env::current_exe().unwrap();
    let libraries = ["/lib", "/lib64"].map(Path::new);
    for (number, path) in libraries.into_iter().filter(|path| path.exists()).chain([program.as_path()]).enumerate() {
        let inside = if path == program { PROGRAM } else { path.to_str().unwrap() };
        mounts.push(format!("{{name: v{number}, mountPath: {inside}, readOnly: true}}"));
        volumes.push(format!("{{name: v{number}, hostPath: {{path: {}}}}}", path.display()));
    }
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| format!("{{name: {name}, value: {value:?}}}")).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {labels}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  \
         containers:\n  - name: {name}\n    image: registry.test/busybox\n    command: {command:?}\n    env: [{}]\n    \
         volumeMounts: [{}]\n  volumes: [{}]\n---\n",
        variables.join(", "),
        mounts.join(", "),
        volumes.join(", ")
    )
}
