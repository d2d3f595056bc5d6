//! What the machine is.

use k8s_openapi::api::core::v1::NodeSystemInfo;

use super::{MachineError, files::Files};

#[derive(Clone, Debug)]
pub(super) struct Identity {
    kernel_version: String,
    pub(super) os_image: String,
    machine_id: Option<String>,
    system_uuid: Option<String>,
    boot_id: String,
}

impl Identity {
    pub(super) fn read(files: &Files) -> Result<Self, MachineError> {
        Ok(Self {
            kernel_version: files.text("proc/sys/kernel/osrelease")?,
            os_image: os_image(files)?,
            machine_id: first(files, &["etc/machine-id", "var/lib/dbus/machine-id"])?,
            system_uuid: first(
                files,
                &["sys/class/dmi/id/product_uuid", "proc/device-tree/system-id", "proc/device-tree/vm,uuid"],
            )?,
            boot_id: files.text("proc/sys/kernel/random/boot_id")?,
        })
    }

    pub(super) fn describe(&self, info: &mut NodeSystemInfo) {
        info.kernel_version.clone_from(&self.kernel_version);
        info.os_image.clone_from(&self.os_image);
        info.boot_id.clone_from(&self.boot_id);
        if let Some(id) = &self.machine_id {
            info.machine_id.clone_from(id);
        }
        // A machine that does not say is known by its installation, as with Kubernetes.
        if let Some(id) = self.system_uuid.as_ref().or(self.machine_id.as_ref()) {
            info.system_uuid.clone_from(id);
        }
    }
}

/// The first of the files that is there and says something.
fn first(files: &Files, paths: &[&str]) -> Result<Option<String>, MachineError> {
    for path in paths {
        if let Some(text) = files.optional(path)?.filter(|text| !text.is_empty()) {
            return Ok(Some(text.trim_end_matches('\0').to_owned()));
        }
    }
    Ok(None)
}

/// The distribution's name for people, as `os-release` has it.
fn os_image(files: &Files) -> Result<String, MachineError> {
    let text = first(files, &["etc/os-release", "usr/lib/os-release"])?.unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Ok(name.map_or("Unknown", |name| name.trim_matches(['"', '\''])).to_owned())
}
