//! Files with a key in them: read within bounds, and who else can get at them.

use crate::config::{FileError, KeyFile};
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

/// More than the longest key in its longest form.
const SIZE_MAX: u64 = 4096;

/// Reads an open file.
pub(super) fn read(file: File) -> Result<KeyFile, FileError> {
    let trouble = |error: std::io::Error| FileError(format!("cannot be read: {error}"));
    let metadata = file.metadata().map_err(trouble)?;
    if metadata.len() > SIZE_MAX {
        return Err(FileError(format!(
            "is {} bytes long: that is no key",
            metadata.len()
        )));
    }
    let mut bytes = Vec::new();
    file.take(SIZE_MAX).read_to_end(&mut bytes).map_err(trouble)?;
    Ok(KeyFile {
        bytes,
        loose: loose(&metadata),
    })
}

/// The worst first.
fn loose(metadata: &Metadata) -> Option<String> {
    let mode = metadata.mode();
    let own = nix::unistd::geteuid().as_raw();
    let words = if metadata.uid() != 0 && metadata.uid() != own {
        format!("belongs to the user of number {}", metadata.uid())
    } else if mode & 0o002 != 0 {
        "can be changed by everybody".to_owned()
    } else if mode & 0o020 != 0 {
        "can be changed by its group".to_owned()
    } else if mode & 0o004 != 0 {
        "can be read by everybody".to_owned()
    } else if mode & 0o040 != 0 {
        "can be read by its group".to_owned()
    } else {
        return None;
    };
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn who_else_can_get_at_it_is_told_and_only_so_much_is_read() {
        let path = std::env::temp_dir().join(format!("key-file-{}", std::process::id()));
        fs::write(&path, "hex:00").unwrap();
        for (mode, loose) in [
            (0o600, None),
            (0o400, None),
            (0o640, Some("can be read by its group")),
            (0o644, Some("can be read by everybody")),
            (0o660, Some("can be changed by its group")),
            (0o666, Some("can be changed by everybody")),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let found = read(File::open(&path).unwrap()).unwrap();
            assert_eq!(found.loose.as_deref(), loose, "{mode:o}");
            assert_eq!(found.bytes, b"hex:00");
        }
        fs::write(&path, [b'x'; 5000]).unwrap();
        assert!(read(File::open(&path).unwrap()).is_err());
        fs::remove_file(&path).unwrap();
    }
}
