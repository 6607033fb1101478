//! What is noted at each advert, for a run that follows: when it was sent, and the number it was signed with.

use super::clock;
use super::store::read_bounded;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// When each instance sent its last advert: eight bytes a slot, microseconds since boot.
pub(super) const STAMPS: &str = "adverts";
/// The highest number that an advert was signed with: eight bytes.
const SIGNED: &str = "signed";

/// The file of moments at which adverts were sent, written on the core thread with one small `pwrite` each.
pub struct Stamps {
    file: Option<File>,
    slots: BTreeMap<String, u64>,
    run_dir: PathBuf,
    /// The file of the last number of signed adverts, once there are some.
    signed: Option<File>,
}

impl Stamps {
    /// Opens the file, and empties it unless an earlier run's slots go on.
    pub(super) fn open(run_dir: &Path, slots: BTreeMap<String, u64>) -> Self {
        let path = run_dir.join(STAMPS);
        let fresh = slots.is_empty();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(fresh)
            .mode(0o600)
            .open(path)
            .ok();
        Self {
            file,
            slots,
            run_dir: run_dir.to_owned(),
            signed: None,
        }
    }

    /// An advert is about to be signed with this number: no later run may use it or a lower one.
    pub fn signed(&mut self, number: u64) {
        if self.signed.is_none() {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(false).mode(0o600);
            self.signed = options.open(self.run_dir.join(SIGNED)).ok();
        }
        if let Some(file) = &self.signed {
            // Best effort: without it the next run goes by the clock.
            let _ = file.write_all_at(&number.to_le_bytes(), 0);
        }
    }

    /// An advert of this instance went out now.
    pub fn sent(&mut self, instance: &str) {
        // Best effort: without a stamp the next start cleans up instead of adopting.
        let _ = self.sent_at(instance, clock::boot_us());
    }

    /// One went out then.
    pub(super) fn sent_at(&mut self, instance: &str, at_us: u64) -> io::Result<()> {
        let slot = self.slot(instance);
        match &self.file {
            Some(file) => file.write_all_at(&at_us.to_le_bytes(), slot * 8),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Which slots these instances have.
    pub fn slots_for<'a>(&mut self, instances: impl Iterator<Item = &'a String>) -> BTreeMap<String, u64> {
        instances.map(|name| (name.clone(), self.slot(name))).collect()
    }

    fn slot(&mut self, instance: &str) -> u64 {
        if let Some(slot) = self.slots.get(instance) {
            return *slot;
        }
        let next = self.slots.values().max().map_or(0, |last| last + 1);
        self.slots.insert(instance.to_owned(), next);
        next
    }
}

/// The last number that a run since the last reboot signed an advert with, however it ended.
pub fn last_signed(run_dir: &Path) -> Option<u64> {
    let bytes = read_bounded(&run_dir.join(SIGNED)).ok()?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ti_4_the_last_number_outlasts_the_run_that_signed_with_it() {
        let folder = std::env::temp_dir().join(format!("signed-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(last_signed(&folder), None);
        for run in [[5, 6], [7, u64::MAX]] {
            let mut stamps = Stamps::open(&folder, BTreeMap::new());
            run.iter().for_each(|number| stamps.signed(*number));
            assert_eq!(last_signed(&folder), Some(run[1]));
        }
        std::fs::write(folder.join(SIGNED), b"half").unwrap();
        assert_eq!(last_signed(&folder), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
