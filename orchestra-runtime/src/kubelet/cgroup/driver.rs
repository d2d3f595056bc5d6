//! Who makes the cgroups: this process, or systemd (`cgroupDriver`).

use std::{collections::BTreeSet, io, path::Path, thread::sleep, time::Duration};

use orchestra_core::container_runtime::CgroupDriver;

use super::{
    hierarchies::{CgroupError, Hierarchies},
    limits::Limits,
    place::Place,
    systemd,
};

/// How long systemd may take to do what it was told.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// The cgroups of a machine, and who makes them.
#[derive(Clone, Debug)]
pub(super) struct Driver {
    hierarchies: Hierarchies,
    kind: CgroupDriver,
}

impl Driver {
    /// # Errors
    /// systemd makes cgroups of v2 only, here: with v1 it would be one of several who do.
    pub(super) fn new(hierarchies: Hierarchies, kind: CgroupDriver) -> io::Result<Self> {
        match (&hierarchies, kind) {
            (Hierarchies::V1(_), CgroupDriver::Systemd) => {
                let why = "the cgroup driver systemd needs cgroup v2";
                Err(io::Error::new(io::ErrorKind::Unsupported, why))
            }
            _ => Ok(Self { hierarchies, kind }),
        }
    }

    /// Makes a cgroup, and those that it lies in, unless they are there.
    pub(super) fn make(&self, place: &Place) -> Result<(), CgroupError> {
        if let Some(root) = self.of_systemd() {
            let all: Vec<_> = place.path().ancestors().filter(|path| path.parent().is_some()).collect();
            for path in all.into_iter().rev() {
                let folder = root.join(path);
                let is_outer = path != place.path();
                if !(is_outer && folder.is_dir()) {
                    systemd::start(&unit(path)).map_err(CgroupError::at(&folder))?;
                    until(&folder, true)?;
                }
            }
        }
        self.hierarchies.make(place)
    }

    /// Grants a cgroup that there is what `limits` says. It is written to the cgroup's files also where systemd does so by and by.
    pub(super) fn set(&self, place: &Place, limits: &Limits) -> Result<(), CgroupError> {
        if let Some(root) = self.of_systemd() {
            let folder = root.join(place.path());
            // systemd would keep what it is told of a slice that there is not.
            folder.metadata().map_err(CgroupError::at(&folder))?;
            systemd::set(&unit(place.path()), limits).map_err(CgroupError::at(&folder))?;
        }
        self.hierarchies.set(place, limits)
    }

    /// Removes a cgroup with those in it, unless it is gone, and kills what still runs there. What is about to die holds it up: then this is
    /// an error, and to be tried again.
    pub(super) fn remove(&self, place: &Place) -> Result<(), CgroupError> {
        if let Some(root) = self.of_systemd() {
            let folder = root.join(place.path());
            if !folder.is_dir() {
                return Ok(());
            }
            self.hierarchies.kill(place);
            systemd::stop(&unit(place.path())).map_err(CgroupError::at(&folder))?;
            until(&folder, false)?;
        }
        self.hierarchies.remove(place)
    }

    /// The bytes of memory that a cgroup has now.
    pub(super) fn memory_usage(&self, place: &Place) -> Result<u64, CgroupError> {
        self.hierarchies.memory_usage(place)
    }

    /// The names of the cgroups in one.
    pub(super) fn children(&self, place: &Place) -> BTreeSet<String> {
        self.hierarchies.children(place)
    }

    /// Where the one hierarchy is, if systemd makes cgroups.
    fn of_systemd(&self) -> Option<&Path> {
        match (&self.hierarchies, self.kind) {
            (Hierarchies::V2(root), CgroupDriver::Systemd) => Some(root),
            _ => None,
        }
    }
}

/// The name of a slice's cgroup is the slice's.
fn unit(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Waits until the folder is there, or is gone: systemd answers before it has done what it was told.
fn until(folder: &Path, is_there: bool) -> Result<(), CgroupError> {
    let mut waited = Duration::ZERO;
    while folder.is_dir() != is_there {
        if waited > PATIENCE {
            let why = format!("systemd has not {} it", if is_there { "made" } else { "removed" });
            return Err(CgroupError::at(folder)(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        sleep(PAUSE);
        waited += PAUSE;
    }
    Ok(())
}
