//! Files of ours: the operators' overrides, and the ledger of what this run owns.
//!
//! JSON with a version and a checksum, replaced atomically (write, fsync, rename, fsync of the folder), the previous
//! generation kept beside it. Written on a thread of their own, since a disk may take its time.

use super::stamps::{STAMPS, Stamps};
use super::{clock, events, former, in_force};
use crate::config::Texts;
use crate::engine::{Former, Ledger, PersistId, Previous, StoredIntent};
use lb_shared::event::Numbered;
use lb_shared::state::Override;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The format written; older ones are read for ever.
const VERSION: u32 = 1;
/// Larger files are not ours.
const SIZE_MAX: u64 = 4 << 20;
/// Where the overrides are kept, inside the state folder.
const INTENT: &str = "intent.json";
/// What this run owns, inside the run folder.
const LEDGER: &str = "ledger.json";
/// There from a hand-over to the start of the one that follows.
const HAND_OVER: &str = "handed-over";

/// What stands in a file: the body as text, so that the checksum covers exactly what is read.
#[derive(Serialize, Deserialize)]
struct Envelope {
    version: u32,
    /// CRC-32 of `body`, as hexadecimal.
    crc32: String,
    body: String,
}

#[derive(Serialize, Deserialize)]
struct LedgerFile {
    /// Another boot's ledger says nothing about this one.
    boot_id: String,
    /// Nor does another network namespace's.
    netns: u64,
    ledger: Ledger,
    slots: BTreeMap<String, u64>,
}

pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    encode_within(value, SIZE_MAX)
}

/// As [`encode`], with a limit of its own.
pub(super) fn encode_within<T: Serialize>(value: &T, limit: u64) -> io::Result<Vec<u8>> {
    let body = serde_json::to_string(value)?;
    let envelope = Envelope {
        version: VERSION,
        crc32: format!("{:08x}", crc32fast::hash(body.as_bytes())),
        body,
    };
    let mut bytes = serde_json::to_vec_pretty(&envelope)?;
    bytes.push(b'\n');
    if bytes.len() as u64 > limit {
        // It would not be read again.
        return Err(too_large(io::ErrorKind::FileTooLarge, limit));
    }
    Ok(bytes)
}

/// Reads one of our files back, whatever its bytes are.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let envelope: Envelope =
        serde_json::from_slice(bytes).map_err(|e| format!("not one of our files: {e}"))?;
    let crc32 = format!("{:08x}", crc32fast::hash(envelope.body.as_bytes()));
    if crc32 != envelope.crc32 {
        return Err(format!("its checksum is {crc32}, it says {}", envelope.crc32));
    }
    serde_json::from_str(&envelope.body)
        .map_err(|e| format!("version {} cannot be read: {e}", envelope.version))
}

fn too_large(kind: io::ErrorKind, limit: u64) -> io::Error {
    io::Error::new(kind, format!("larger than {} MiB", limit >> 20))
}

pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    read_within(path, SIZE_MAX)
}

/// As [`read_bounded`], with a limit of its own.
pub(super) fn read_within(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(io::ErrorKind::InvalidData, limit));
    }
    Ok(bytes)
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Replaces a file so that a crash leaves the old or the new one, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    match fs::hard_link(path, beside(path, ".tmp")) {
        Ok(()) => fs::rename(beside(path, ".tmp"), beside(path, ".old"))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(beside(path, ".tmp"))?;
            fs::hard_link(path, beside(path, ".tmp"))?;
            fs::rename(beside(path, ".tmp"), beside(path, ".old"))?;
        }
        Err(e) => return Err(e),
    }
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// The overrides as they are on disk: the newest readable generation, or the news that there is none.
pub fn load_intent(state_dir: &Path) -> StoredIntent {
    let path = state_dir.join(INTENT);
    let mut trouble = Vec::new();
    for (generation, path) in [path.clone(), beside(&path, ".old")].iter().enumerate() {
        match read_bounded(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => trouble.push(format!("{}: {e}", path.display())),
            Ok(bytes) => match decode::<Vec<Override>>(&bytes) {
                Ok(overrides) => {
                    let trouble = (!trouble.is_empty()).then(|| {
                        format!(
                            "{}; using generation {generation}: the last change may be missing",
                            trouble.join("; ")
                        )
                    });
                    return StoredIntent {
                        overrides,
                        trouble,
                        lost: false,
                    };
                }
                Err(why) => {
                    set_aside(path);
                    trouble.push(format!("{}: {why}", path.display()));
                }
            },
        }
    }
    let lost = !trouble.is_empty();
    let trouble = lost.then(|| {
        format!(
            "{}; servers found at weight 0 count as drained until you undrain them",
            trouble.join("; ")
        )
    });
    StoredIntent {
        overrides: Vec::new(),
        trouble,
        lost,
    }
}

/// Keeps a damaged file for whoever wants to look at it; the newest three.
pub(super) fn set_aside(path: &Path) {
    for (older, newer) in [(3, 2), (2, 1)] {
        let _ = fs::rename(
            beside(path, &format!(".bad{newer}")),
            beside(path, &format!(".bad{older}")),
        );
    }
    let _ = fs::copy(path, beside(path, ".bad1"));
}

/// What an earlier run since the last boot left without a goodbye, and the stamps to go on with.
///
/// The stamps are kept as they are: a run that is killed before its first advert must not hide when the one before it
/// last sent.
pub fn load_ledger(run_dir: &Path) -> (Option<Previous>, Stamps) {
    let file: Option<LedgerFile> = read_bounded(&run_dir.join(LEDGER))
        .ok()
        .and_then(|bytes| decode(&bytes).ok());
    let Some(file) = file.filter(|it| it.boot_id == boot_id() && it.netns == netns()) else {
        return (None, Stamps::open(run_dir, BTreeMap::new()));
    };
    let now = clock::boot_us();
    let mut sent_ago = BTreeMap::new();
    if let Ok(stamps) = File::open(run_dir.join(STAMPS)) {
        for (name, slot) in &file.slots {
            let mut bytes = [0; 8];
            if stamps.read_exact_at(&mut bytes, slot * 8).is_ok() {
                let sent = u64::from_le_bytes(bytes);
                if sent != 0 && sent <= now {
                    sent_ago.insert(name.clone(), Duration::from_micros(now - sent));
                }
            }
        }
    }
    (
        Some(Previous {
            ledger: file.ledger,
            sent_ago,
        }),
        Stamps::open(run_dir, file.slots),
    )
}

fn write_ledger(run_dir: &Path, ledger: Ledger, slots: BTreeMap<String, u64>) -> io::Result<()> {
    let file = LedgerFile {
        boot_id: boot_id(),
        netns: netns(),
        ledger,
        slots,
    };
    replace(&run_dir.join(LEDGER), &encode(&file)?)
}

/// Writes down masters of somebody else, each with the moment of its last advert in microseconds since boot, for an
/// agent that starts next and goes on in their place.
pub(super) fn bequeath(run_dir: &Path, ledger: Ledger, sent: &BTreeMap<String, u64>) -> io::Result<()> {
    let mut stamps = Stamps::open(run_dir, BTreeMap::new());
    for (instance, at_us) in sent {
        stamps.sent_at(instance, *at_us)?;
    }
    let slots = stamps.slots_for(sent.keys());
    write_ledger(run_dir, ledger, slots)
}

/// Forgets the ledger: this run ended in order.
pub fn clear_ledger(run_dir: &Path) {
    let _ = fs::remove_file(run_dir.join(LEDGER));
    let _ = fs::remove_file(beside(&run_dir.join(LEDGER), ".old"));
    in_force::forget(run_dir);
}

/// Notes for the clean-up that this run ended in favour of the next one.
pub fn hand_over(run_dir: &Path) -> io::Result<()> {
    fs::write(run_dir.join(HAND_OVER), "")
}

/// Whether the run before ended in favour of the next one.
pub fn handed_over(run_dir: &Path) -> bool {
    run_dir.join(HAND_OVER).exists()
}

/// The next one is here.
pub fn take_hand_over(run_dir: &Path) {
    let _ = fs::remove_file(run_dir.join(HAND_OVER));
}

/// The kernel's name for this boot.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// The inode of this process's network namespace.
pub fn netns() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self/ns/net").map_or(0, |it| it.ino())
}

enum Order {
    Events(Vec<Numbered>),
    Finish,
    InForce(String, Arc<Texts>),
    Former(PersistId, Option<Box<Former>>),
    Intent(PersistId, Vec<Override>),
    Ledger(Box<Ledger>, BTreeMap<String, u64>),
}

/// What was written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    Intent,
    Former,
}

/// The thread that writes.
pub struct Store {
    orders: mpsc::Sender<Order>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Store {
    /// `done` hears of each write of the overrides and of a former configuration, on the store's thread.
    pub fn start(
        state_dir: PathBuf,
        run_dir: PathBuf,
        done: impl Fn(Written, PersistId, Result<(), String>) + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            // What the run folder has by now: a reload of the same file writes nothing.
            let mut in_force = None;
            for order in inbox {
                match order {
                    Order::Finish => break,
                    Order::InForce(file, texts) => {
                        let print = Some(texts.fingerprint());
                        if in_force != print {
                            in_force = print;
                            if let Err(e) = in_force::save(&run_dir, &file, &texts) {
                                tracing::warn!("the configuration in force is not kept for a restart: {e}");
                            }
                        }
                    }
                    Order::Events(events) => events::save(&state_dir, &events),
                    Order::Former(id, kept) => {
                        let result = former::save(&state_dir, kept.as_deref());
                        done(Written::Former, id, result);
                    }
                    Order::Intent(id, overrides) => {
                        let path = state_dir.join(INTENT);
                        let result = encode(&overrides).and_then(|bytes| replace(&path, &bytes));
                        done(
                            Written::Intent,
                            id,
                            result.map_err(|e| format!("{}: {e}", path.display())),
                        );
                    }
                    Order::Ledger(ledger, slots) => {
                        if let Err(e) = write_ledger(&run_dir, *ledger, slots) {
                            let path = run_dir.join(LEDGER);
                            tracing::warn!("{}: {e}: a restart after a crash cannot adopt", path.display());
                        }
                    }
                }
            }
        })?;
        Ok(Self {
            orders,
            thread: Some(thread),
        })
    }

    /// Makes the overrides durable.
    pub fn persist(&self, id: PersistId, overrides: Vec<Override>) {
        let _ = self.orders.send(Order::Intent(id, overrides));
    }

    /// Keeps what is in force for a start that follows a crash.
    pub fn in_force(&self, file: &str, texts: Arc<Texts>) {
        let _ = self.orders.send(Order::InForce(file.to_owned(), texts));
    }

    /// Makes the configuration to go back to durable, or forgets it.
    pub fn former(&self, id: PersistId, kept: Option<Box<Former>>) {
        let _ = self.orders.send(Order::Former(id, kept));
    }

    /// Writes the ledger down.
    pub fn ledger(&self, ledger: Ledger, slots: BTreeMap<String, u64>) {
        let _ = self.orders.send(Order::Ledger(Box::new(ledger), slots));
    }

    /// Whoever calls it has these events written down, in their turn.
    pub fn events(&self) -> impl Fn(Vec<Numbered>) + Send + Sync + 'static {
        let orders = self.orders.clone();
        move |events| drop(orders.send(Order::Events(events)))
    }

    /// Waits until everything is written.
    pub fn finish(mut self) {
        let _ = self.orders.send(Order::Finish);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lb_shared::event::Actor;
    use lb_shared::state::{DrainThen, OverrideKind, Target};

    fn overrides(address: &str) -> Vec<Override> {
        vec![Override {
            target: Target::Server(format!("192.0.2.1:80/tcp/{address}").parse().unwrap()),
            kind: OverrideKind::Drain {
                then: DrainThen::Keep,
                inactive: false,
            },
            actor: Actor {
                uid: 0,
                pid: 1,
                user: "root".into(),
            },
            at_wall_ms: 1,
            until_wall_ms: None,
            until: None,
            message: "why \" not".into(),
            dormant: None,
        }]
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lbagent-store-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, it: &[Override]) {
            replace(&self.0.join(INTENT), &encode(&it.to_vec()).unwrap()).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = Folder::new("roundtrip");
        assert!(load_intent(&folder.0).overrides.is_empty());
        assert!(
            !load_intent(&folder.0).lost,
            "no file is a first start, not a loss"
        );
        folder.write(&overrides("198.51.100.1:80"));
        folder.write(&overrides("198.51.100.2:80"));
        assert_eq!(load_intent(&folder.0).overrides, overrides("198.51.100.2:80"));
    }

    #[test]
    fn a_drain_that_an_older_version_stored_waits_for_active_connections() {
        let stored = serde_json::to_string(&overrides("198.51.100.1:80")).unwrap();
        let older = stored.replace(",\"inactive\":false", "");
        assert_ne!(older, stored);
        let read: Vec<Override> = serde_json::from_str(&older).unwrap();
        assert_eq!(read, overrides("198.51.100.1:80"));
    }

    #[test]
    fn f094_every_truncation_and_bit_flip_falls_back_to_the_generation_before() {
        let folder = Folder::new("f094");
        folder.write(&overrides("198.51.100.1:80"));
        folder.write(&overrides("198.51.100.2:80"));
        let path = folder.0.join(INTENT);
        let good = fs::read(&path).unwrap();
        let before = overrides("198.51.100.1:80");
        for cut in 0..good.len() - 3 {
            fs::write(&path, &good[..cut]).unwrap();
            let stored = load_intent(&folder.0);
            assert_eq!(stored.overrides, before, "cut at {cut}");
            assert!(stored.trouble.is_some(), "cut at {cut} went unnoticed");
        }
        for place in 0..good.len() {
            let mut bad = good.clone();
            bad[place] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let stored = load_intent(&folder.0);
            let whole = stored.overrides == overrides("198.51.100.2:80");
            assert!(
                whole || stored.overrides == before,
                "flip at {place}: {:?}",
                stored.trouble
            );
        }
    }

    #[test]
    fn st_8_what_could_not_be_read_back_is_not_written() {
        let one = overrides("198.51.100.1:80").remove(0);
        let many: Vec<Override> = (0..40_000).map(|_| one.clone()).collect();
        assert_eq!(encode(&many).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn with_both_generations_bad_the_loss_is_told() {
        let folder = Folder::new("lost");
        folder.write(&overrides("198.51.100.1:80"));
        folder.write(&overrides("198.51.100.2:80"));
        fs::write(folder.0.join(INTENT), b"{}").unwrap();
        fs::write(folder.0.join("intent.json.old"), b"\xff\xfe").unwrap();
        let stored = load_intent(&folder.0);
        assert!(stored.lost && stored.trouble.is_some() && stored.overrides.is_empty());
    }

    #[test]
    fn f153_a_run_that_ends_before_its_first_advert_does_not_hide_the_last_one() {
        let folder = Folder::new("stamps");
        let ledger = Ledger {
            masters: [("VI_1".to_owned(), Default::default())].into(),
            ..Ledger::default()
        };
        let (none, mut stamps) = load_ledger(&folder.0);
        assert!(none.is_none());
        stamps.sent("VI_1");
        let slots = stamps.slots_for(ledger.masters.keys());
        let file = LedgerFile {
            boot_id: boot_id(),
            netns: netns(),
            ledger,
            slots,
        };
        replace(&folder.0.join(LEDGER), &encode(&file).unwrap()).unwrap();
        for start in 0..3 {
            let (previous, _) = load_ledger(&folder.0);
            assert!(
                previous.unwrap().sent_ago.contains_key("VI_1"),
                "start {start} finds no stamp"
            );
        }
    }

    #[test]
    fn a_hand_over_is_known_until_the_next_one_is_here() {
        let folder = Folder::new("hand-over");
        assert!(!handed_over(&folder.0));
        hand_over(&folder.0).unwrap();
        assert!(handed_over(&folder.0));
        take_hand_over(&folder.0);
        assert!(!handed_over(&folder.0));
    }

    /// F171.
    #[test]
    fn another_boots_ledger_says_nothing() {
        let folder = Folder::new("boot");
        let file = LedgerFile {
            boot_id: "another".into(),
            netns: netns(),
            ledger: Ledger::default(),
            slots: BTreeMap::new(),
        };
        replace(&folder.0.join(LEDGER), &encode(&file).unwrap()).unwrap();
        assert!(load_ledger(&folder.0).0.is_none());
    }
}
