//! Files that change together: a container sees all of an old state or all of a new one.
//!
//! ```text
//!   VOLUME/..2026_11_27_03_37_00.000000001/color   the files of one state
//!   VOLUME/..data -> ..2026_11_27_...              which state counts: replaced by one rename
//!   VOLUME/color -> ..data/color                   what containers open
//! ```
//! The names are Kubernetes' (`pkg/volume/util/atomic_writer.go`): programs in containers watch `..data`.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{PermissionsExt, chown, lchown, symlink},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::payload::{File, Payload};

const DATA: &str = "..data";
const NEW_DATA: &str = "..data_tmp";

/// Has the folder `volume` hold the files of `payload` and nothing else, given to `group` if that is named.
pub(super) fn write(volume: &Path, payload: &Payload, group: Option<u32>, now: Timestamp) -> io::Result<()> {
    let old = current(volume)?;
    if let Some(old) = &old
        && holds(&volume.join(old), payload)?
        && same_names(volume, payload)?
    {
        return Ok(());
    }
    let name = state_name(volume, now);
    let state = volume.join(&name);
    fs::create_dir(&state)?;
    set(&state, 0o755, None, group)?;
    for (path, file) in payload {
        write_file(&state, Path::new(path), file, group)?;
    }
    let new = volume.join(NEW_DATA);
    remove_if_there(&new)?;
    symlink(&name, &new)?;
    fs::rename(&new, volume.join(DATA))?;
    link_names(volume, payload, group)?;
    remove_others(volume, &name, payload)
}

fn current(volume: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_link(volume.join(DATA)) {
        Ok(target) => Ok(Some(target)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name of its own for a state, from its time.
fn state_name(volume: &Path, now: Timestamp) -> String {
    let mut nanos = now.subsec_nanosecond();
    loop {
        let name = format!("..{}.{nanos:09}", now.strftime("%Y_%m_%d_%H_%M_%S"));
        if !volume.join(&name).exists() {
            return name;
        }
        nanos += 1;
    }
}

/// Whether the folder has just these files with this content.
fn holds(state: &Path, payload: &Payload) -> io::Result<bool> {
    for (path, file) in payload {
        let path = state.join(path);
        match fs::read(&path) {
            Ok(data) if data == file.data => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(count(state)? == payload.len())
}

fn count(folder: &Path) -> io::Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files += if entry.file_type()?.is_dir() { count(&entry.path())? } else { 1 };
    }
    Ok(files)
}

fn first_parts(payload: &Payload) -> BTreeSet<&str> {
    payload.keys().filter_map(|path| path.split('/').next()).collect()
}

fn same_names(volume: &Path, payload: &Payload) -> io::Result<bool> {
    let names = first_parts(payload);
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(volume)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") {
            found.insert(name);
        }
    }
    Ok(found.iter().map(String::as_str).eq(names))
}

fn write_file(state: &Path, path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    let mut folder = state.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        folder.push(part);
        if !folder.is_dir() {
            fs::create_dir(&folder)?;
            set(&folder, 0o755, None, group)?;
        }
    }
    let path = state.join(path);
    fs::write(&path, &file.data)?;
    set(&path, file.mode, file.owner, group)
}

/// Sets owner and permissions, whatever the process' mask is. What belongs to a group can be read by it.
fn set(path: &Path, mode: u32, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    if owner.is_some() || group.is_some() {
        chown(path, owner, group)?;
    }
    let for_group = match group {
        None => 0,
        Some(_) if path.is_dir() => 0o2550,
        Some(_) => 0o440,
    };
    fs::set_permissions(path, fs::Permissions::from_mode(mode | for_group))
}

fn link_names(volume: &Path, payload: &Payload, group: Option<u32>) -> io::Result<()> {
    for name in first_parts(payload) {
        let link = volume.join(name);
        match symlink(Path::new(DATA).join(name), &link) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        if group.is_some() {
            lchown(&link, None, group)?;
        }
    }
    Ok(())
}

/// Removes names that lead nowhere now, and the states that do not count.
fn remove_others(volume: &Path, state: &str, payload: &Payload) -> io::Result<()> {
    let names = first_parts(payload);
    for entry in fs::read_dir(volume)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == DATA || name == state || names.contains(name) {
            continue;
        }
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Folder, *};

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |data: &str| File { data: data.as_bytes().to_vec(), mode: 0o640, owner: None };
        files.iter().map(|(path, data)| ((*path).to_owned(), file(data))).collect()
    }

    fn names(folder: &Folder) -> Vec<String> {
        let all = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut all: Vec<_> = all.filter(|name| !name.starts_with("..2") && !name.starts_with("..1")).collect();
        all.sort();
        all
    }

    #[test]
    fn states_follow_each_other_by_one_rename() {
        let folder = Folder::new();
        let at = |second| Timestamp::from_second(second).unwrap();
        let write = |files: &[(&str, &str)], second| write(folder.path(), &payload(files), None, at(second)).unwrap();
        let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();
        write(&[("a", "1"), ("d/e/f", "2")], 0);
        assert_eq!((read("a").as_str(), read("d/e/f").as_str()), ("1", "2"));
        assert_eq!(names(&folder), ["..data", "a", "d"]);
        let mode = fs::metadata(folder.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        let first = fs::read_link(folder.path().join(DATA)).unwrap();
        // The same again changes nothing.
        write(&[("a", "1"), ("d/e/f", "2")], 1);
        assert_eq!(fs::read_link(folder.path().join(DATA)).unwrap(), first);
        write(&[("a", "3"), ("g", "4")], 1);
        assert_eq!((read("a").as_str(), read("g").as_str()), ("3", "4"));
        assert_eq!(names(&folder), ["..data", "a", "g"]);
        assert!(!folder.path().join(&first).exists());
        // Less is a change too, and two at one time have two names.
        write(&[("a", "3")], 1);
        assert_eq!(names(&folder), ["..data", "a"]);
        write(&[], 1);
        assert_eq!(names(&folder), ["..data"]);
    }

    #[test]
    fn what_a_write_left_unfinished_does_not_stay() {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("..1999_half")).unwrap();
        symlink("nowhere", folder.path().join(NEW_DATA)).unwrap();
        write(folder.path(), &payload(&[("a", "1")]), None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(names(&folder), ["..data", "a"]);
        assert!(!folder.path().join("..1999_half").exists());
    }
}
