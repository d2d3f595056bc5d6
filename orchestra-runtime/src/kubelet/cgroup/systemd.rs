//! systemd as the only one who makes cgroups: a slice for each (`opencontainers/cgroups/systemd`, as Kubernetes' kubelet has it make them).
//! It is asked over D-Bus, by its own program.

use std::{io, process::Command};

use super::{
    hierarchies::{PERIOD, weight},
    limits::{Limits, Most},
};

const PROGRAM: &str = "busctl";
const MANAGER: [&str; 3] =
    ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
/// What is counted from the beginning: processes join late otherwise.
const ACCOUNTING: [&str; 4] = ["CPUAccounting", "MemoryAccounting", "IOAccounting", "TasksAccounting"];
/// Microseconds of processors' time in a second that systemd tells apart: a hundredth of one processor.
const GRAIN: u64 = 10_000;

/// Has the slice be there, and those that it lies in by its name.
pub(super) fn start(slice: &str) -> io::Result<()> {
    let properties: Vec<_> = ACCOUNTING
        .into_iter()
        .map(|name| (name, "b", "true".to_owned()))
        .chain([("DefaultDependencies", "b", "false".to_owned())])
        .collect();
    let made = call("StartTransientUnit", "ssa(sv)a(sa(sv))", &[slice, "replace"], &properties, &["0"]);
    // One that is there is not made again, but it may have been stopped.
    made.or_else(|error| call("StartUnit", "ss", &[slice, "replace"], &[], &[]).map_err(|_| error))
}

/// Grants the slice what `limits` says. systemd writes it to the cgroup whenever it looks after that.
pub(super) fn set(slice: &str, limits: &Limits) -> io::Result<()> {
    let properties = properties(limits);
    if properties.is_empty() {
        return Ok(());
    }
    call("SetUnitProperties", "sba(sv)", &[slice, "true"], &properties, &[])
}

/// Has the slice be gone, unless it is.
pub(super) fn stop(slice: &str) -> io::Result<()> {
    let stopped = call("StopUnit", "ss", &[slice, "replace"], &[], &[]);
    stopped.or_else(|error| match call("GetUnit", "s", &[slice], &[], &[]) {
        Ok(()) => Err(error),
        Err(_) => Ok(()),
    })
}

type Property = (&'static str, &'static str, String);

fn properties(limits: &Limits) -> Vec<Property> {
    let number = |most: Most| most.0.unwrap_or(u64::MAX).to_string();
    let of_second = |quota: u64| quota.saturating_mul(1_000_000 / PERIOD).div_ceil(GRAIN).saturating_mul(GRAIN);
    let all = [
        limits.shares.map(|shares| ("CPUWeight", weight(shares).to_string())),
        limits.quota.map(|_| ("CPUQuotaPeriodUSec", PERIOD.to_string())),
        limits.quota.map(|quota| ("CPUQuotaPerSecUSec", number(Most(quota.0.map(of_second))))),
        limits.memory.map(|memory| ("MemoryMax", number(memory))),
        limits.processes.map(|most| ("TasksMax", number(most))),
    ];
    all.into_iter().flatten().map(|(name, value)| (name, "t", value)).collect()
}

fn call(method: &str, signature: &str, first: &[&str], properties: &[Property], last: &[&str]) -> io::Result<()> {
    let mut command = Command::new(PROGRAM);
    command.args(["--quiet", "call"]).args(MANAGER).args([method, signature]).args(first);
    if signature.contains("a(sv)") {
        command.arg(properties.len().to_string());
        for (name, kind, value) in properties {
            command.args([name, kind, value.as_str()]);
        }
    }
    let failed = |why: &str| io::Error::other(format!("systemd, {method} of {}: {why}", first.concat()));
    let output = command.args(last).output().map_err(|error| failed(&format!("{PROGRAM}: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_what_systemd_calls_them() {
        let limits = |quota, memory| Limits {
            shares: Some(1024),
            quota: Some(Most(quota)),
            memory: Some(Most(memory)),
            ..Limits::default()
        };
        let of = |limits: &Limits| properties(limits).into_iter().map(|(name, _, value)| format!("{name}={value}"));
        let some: Vec<_> = of(&limits(Some(50_500), Some(4096))).collect();
        let period = "CPUQuotaPeriodUSec=100000";
        // Not less than was asked for.
        assert_eq!(some, ["CPUWeight=39", period, "CPUQuotaPerSecUSec=510000", "MemoryMax=4096"]);
        let none: Vec<_> = of(&limits(None, None)).collect();
        let all = u64::MAX;
        assert_eq!(none[2..], [format!("CPUQuotaPerSecUSec={all}"), format!("MemoryMax={all}")]);
        assert!(properties(&Limits::default()).is_empty());
    }
}
