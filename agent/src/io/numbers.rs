//! Numbers in files for `track_file`: a thread that reads them again when they were written or replaced.
//!
//! A file is read once it was closed after writing, removed, or another one was moved to its name, never in the middle of
//! a write. What tells is inotify on the file's folder. Where that is not enough (the folder is not there yet, the name is
//! a symbolic link into another one, inotify is used up) the file is looked at every second.

use crate::model::{InitFile, Model, NumberFile};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much of a file is read (as keepalived reads): a number is shorter.
const READ_MAX: u64 = 127;
/// How long until files that inotify cannot tell of are looked at again.
const AGAIN: Duration = Duration::from_secs(1);

type Wanted = BTreeMap<String, NumberFile>;

/// The numbers in the files of a model that is about to be put in force.
///
/// `start`: the agent starts, and `init_file … overwrite` counts. Files that will be made are not made yet, but count.
pub fn of(model: &Model, start: bool) -> BTreeMap<String, i32> {
    let number = |file: &NumberFile| match file.init {
        Some(init) if start && init.overwrite || !file.path.exists() => init.value,
        Some(_) | None => read(&file.path).unwrap_or(0),
    };
    let files = model.files.iter();
    files.map(|(name, it)| (name.clone(), number(&it.file))).collect()
}

/// Watches files once there are some to watch.
pub struct Numbers {
    tell: Option<Box<dyn Fn(String, i32) + Send>>,
    shared: Arc<Shared>,
    /// The first ones are those of the start.
    started: bool,
}

struct Shared {
    wanted: Mutex<Wish>,
    changed: EventFd,
}

/// What is to be watched.
#[derive(Default)]
struct Wish {
    files: Wanted,
    /// The agent starts, and nobody has looked yet.
    start: bool,
}

impl Numbers {
    /// `tell` is called from another thread with every number that is another than the one before.
    pub fn new(tell: impl Fn(String, i32) + Send + 'static) -> io::Result<Self> {
        let changed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self {
            tell: Some(Box::new(tell)),
            shared: Arc::new(Shared {
                wanted: Mutex::default(),
                changed,
            }),
            started: false,
        })
    }

    /// Watches these from now on, each under its name, and no others. Makes those that have an `init_file`.
    pub fn set(&mut self, wanted: Wanted) -> io::Result<()> {
        let start = !std::mem::replace(&mut self.started, true);
        let any = !wanted.is_empty();
        {
            let mut wish = self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            wish.files = wanted;
            wish.start |= start;
        }
        self.shared.changed.write(1)?;
        if any && let Some(tell) = self.tell.take() {
            let shared = self.shared.clone();
            std::thread::Builder::new()
                .name("numbers".into())
                .spawn(move || watch(&shared, &*tell))?;
        }
        Ok(())
    }
}

/// Makes a file with a number, unless there is one that is to stay.
fn make(path: &Path, init: InitFile, start: bool) -> io::Result<()> {
    let text = format!("{}\n", init.value);
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()),
        // Only a plain file is written over.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if start && init.overwrite && fs::symlink_metadata(path)?.is_file() {
                let mut file = OpenOptions::new()
                    .write(true)
                    .truncate(true)
                    .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
                    .open(path)?;
                file.write_all(text.as_bytes())?;
            }
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// The number in a file; 0 without a file. `None`: what stands there fits no number, and the one before stays.
fn read(path: &Path) -> Option<i32> {
    // Never waits for the other end of a FIFO.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path);
    let mut text = Vec::new();
    if let Ok(file) = opened
        && let Err(e) = file.take(READ_MAX).read_to_end(&mut text)
    {
        tracing::warn!("cannot read {}: {e}; its number counts as 0", path.display());
        text.clear();
    }
    let number = NumberFile::number(&text);
    if number.is_none() {
        let text = String::from_utf8_lossy(&text);
        let path = path.display();
        tracing::warn!(
            "{path} holds {:?}, more than 32 bits: the number before stays",
            text.trim_end()
        );
    }
    number
}

struct Watcher<'a> {
    tell: &'a dyn Fn(String, i32),
    inotify: Option<Inotify>,
    wanted: Wanted,
    told: BTreeMap<String, i32>,
    /// Folders that inotify tells of.
    folders: BTreeMap<PathBuf, WatchDescriptor>,
    /// Files that it does not tell of, at least not of every change.
    blind: BTreeSet<PathBuf>,
}

fn watch(shared: &Shared, tell: &dyn Fn(String, i32)) {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
    if let Err(e) = &inotify {
        tracing::warn!("no inotify ({e}): files of track_file are looked at every second");
    }
    let mut watcher = Watcher {
        tell,
        inotify: inotify.ok(),
        wanted: Wanted::new(),
        told: BTreeMap::new(),
        folders: BTreeMap::new(),
        blind: BTreeSet::new(),
    };
    let mut look_at = Instant::now() + AGAIN;
    loop {
        // Drained before it is looked at, so that no change is missed.
        let _ = shared.changed.read();
        let (wanted, start) = {
            let mut wish = shared.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            (wish.files.clone(), std::mem::take(&mut wish.start))
        };
        watcher.want(wanted, start);
        let timeout = look_at.saturating_duration_since(Instant::now());
        let events = watcher.wait(shared, (!watcher.blind.is_empty()).then_some(timeout));
        watcher.on_events(&events);
        if look_at <= Instant::now() {
            look_at = Instant::now() + AGAIN;
            watcher.look_blindly();
        }
    }
}

impl Watcher<'_> {
    fn want(&mut self, wanted: Wanted, start: bool) {
        if wanted == self.wanted {
            return;
        }
        for file in wanted.values() {
            if let Some(init) = file.init
                && let Err(e) = make(&file.path, init, start)
            {
                tracing::error!("cannot make {}: {e}; its number counts as 0", file.path.display());
            }
        }
        let before = std::mem::replace(&mut self.wanted, wanted);
        let wanted = &self.wanted;
        self.told
            .retain(|name, _| wanted.get(name).map(|it| &it.path) == before.get(name).map(|it| &it.path));
        let folders: BTreeSet<&Path> = self.wanted.values().map(|it| folder(&it.path)).collect();
        let inotify = &self.inotify;
        self.folders.retain(|path, descriptor| {
            let stays = folders.contains(path.as_path());
            if !stays && let Some(inotify) = inotify {
                let _ = inotify.rm_watch(*descriptor);
            }
            stays
        });
        self.watch_folders();
        // After the watches, so that no change falls between.
        self.look(|_| true);
    }

    /// Watches the folders that can be.
    fn watch_folders(&mut self) {
        self.blind.clear();
        for file in self.wanted.values() {
            let folder = folder(&file.path);
            if !self.folders.contains_key(folder) {
                let found = self
                    .inotify
                    .as_ref()
                    .and_then(|inotify| inotify.add_watch(folder, flags()).ok());
                match found {
                    Some(descriptor) => {
                        self.folders.insert(folder.to_owned(), descriptor);
                    }
                    None => {
                        self.blind.insert(file.path.clone());
                    }
                }
            }
            if fs::symlink_metadata(&file.path).is_ok_and(|it| it.is_symlink()) {
                self.blind.insert(file.path.clone());
            }
        }
    }

    /// Looks at what inotify does not tell of.
    fn look_blindly(&mut self) {
        if !self.blind.is_empty() {
            let blind = self.blind.clone();
            self.watch_folders();
            self.look(|path| blind.contains(path));
        }
    }

    /// Waits for a change.
    fn wait(&self, shared: &Shared, timeout: Option<Duration>) -> Vec<InotifyEvent> {
        let mut fds = vec![PollFd::new(shared.changed.as_fd(), PollFlags::POLLIN)];
        if let Some(inotify) = &self.inotify {
            fds.push(PollFd::new(inotify.as_fd(), PollFlags::POLLIN));
        }
        let timeout = timeout.map_or(PollTimeout::NONE, |wait| {
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO)
        });
        let readable = poll(&mut fds, timeout);
        let read = match (&self.inotify, readable) {
            (_, Ok(0)) | (None, Ok(_)) => return Vec::new(),
            (Some(inotify), Ok(_)) => inotify.read_events(),
            (_, Err(e)) => Err(e),
        };
        match read {
            Ok(events) => events,
            Err(Errno::EAGAIN) => Vec::new(),
            Err(_) => {
                // Interrupted, or out of memory: no reason to spin.
                std::thread::sleep(Duration::from_millis(10));
                Vec::new()
            }
        }
    }

    fn on_events(&mut self, events: &[InotifyEvent]) {
        let has = |event: &InotifyEvent, flags| event.mask.intersects(flags);
        if events.iter().any(|it| has(it, AddWatchFlags::IN_Q_OVERFLOW)) {
            return self.look(|_| true);
        }
        let mut changed: BTreeSet<PathBuf> = BTreeSet::new();
        let mut all_in: BTreeSet<PathBuf> = BTreeSet::new();
        let gone = AddWatchFlags::IN_IGNORED | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_UNMOUNT;
        for event in events {
            let folder = self.folders.iter().find(|(_, it)| **it == event.wd);
            let Some(folder) = folder.map(|(path, _)| path.clone()) else {
                continue;
            };
            if has(event, gone) {
                // Another folder may be there now under the same name.
                if let Some(descriptor) = self.folders.remove(&folder)
                    && let Some(inotify) = &self.inotify
                {
                    let _ = inotify.rm_watch(descriptor);
                }
                all_in.insert(folder);
            } else if let Some(name) = &event.name {
                changed.insert(folder.join(name));
            }
        }
        let ours = |path: &PathBuf| self.wanted.values().any(|it| it.path == *path);
        changed.retain(ours);
        if changed.is_empty() && all_in.is_empty() {
            return;
        }
        // A folder or a symbolic link may stand there now.
        self.watch_folders();
        self.look(|path| changed.contains(path) || all_in.contains(folder(path)));
    }

    /// Reads the files that are asked for and tells what is new.
    fn look(&mut self, which: impl Fn(&Path) -> bool) {
        for (name, file) in self.wanted.iter().filter(|(_, it)| which(&it.path)) {
            let before = self.told.get(name).copied();
            let number = match (read(&file.path), before) {
                (Some(number), _) => number,
                (None, Some(_)) => continue,
                (None, None) => 0,
            };
            if before != Some(number) {
                self.told.insert(name.clone(), number);
                (self.tell)(name.clone(), number);
            }
        }
    }
}

/// What tells of files in a folder.
fn flags() -> AddWatchFlags {
    AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVE
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Bench {
        folder: PathBuf,
        numbers: Numbers,
        told: mpsc::Receiver<(String, i32)>,
    }

    impl Bench {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("numbers-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir(&folder).unwrap();
            let (tell, told) = mpsc::channel();
            let numbers = Numbers::new(move |name, number| tell.send((name, number)).unwrap()).unwrap();
            Self {
                folder,
                numbers,
                told,
            }
        }

        fn watch(&mut self, files: &[(&str, Option<InitFile>)]) {
            let file = |(name, init): &(&str, Option<InitFile>)| {
                let path = self.folder.join(name);
                ((*name).to_owned(), NumberFile { path, init: *init })
            };
            self.numbers.set(files.iter().map(file).collect()).unwrap();
        }

        #[track_caller]
        fn hears(&self, name: &str, number: i32) {
            let heard = self.told.recv_timeout(Duration::from_secs(60));
            assert_eq!(heard, Ok((name.to_owned(), number)));
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn a_file_counts_when_it_is_closed_moved_there_or_gone() {
        let mut bench = Bench::new("closed");
        let path = bench.folder.join("n");
        bench.watch(&[("n", None)]);
        bench.hears("n", 0);
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(b"5").unwrap();
        file.write_all(b"7\n").unwrap();
        drop(file);
        // Never 5: nobody reads in the middle of a write.
        bench.hears("n", 57);
        let other = bench.folder.join("other");
        fs::write(&other, "-8\n").unwrap();
        fs::rename(&other, &path).unwrap();
        bench.hears("n", -8);
        fs::write(&path, "99999999999\n").unwrap();
        fs::write(&path, "").unwrap();
        // Too large for a number: not a word about it.
        bench.hears("n", 0);
        fs::write(&path, "0x10").unwrap();
        bench.hears("n", 16);
        fs::rename(&path, &other).unwrap();
        bench.hears("n", 0);
        fs::rename(&other, &path).unwrap();
        bench.hears("n", 16);
        fs::remove_file(&path).unwrap();
        bench.hears("n", 0);
    }

    #[test]
    fn a_folder_that_comes_later_or_comes_again_is_watched() {
        let mut bench = Bench::new("later");
        let folder = bench.folder.join("sub");
        bench.watch(&[("sub/n", None)]);
        bench.hears("sub/n", 0);
        for number in [3, 4] {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("n"), format!("{number}\n")).unwrap();
            bench.hears("sub/n", number);
            fs::remove_dir_all(&folder).unwrap();
            bench.hears("sub/n", 0);
        }
    }

    #[test]
    fn behind_a_symbolic_link_it_is_found_as_well() {
        let mut bench = Bench::new("link");
        let there = bench.folder.join("there");
        fs::create_dir(&there).unwrap();
        fs::write(there.join("n"), "1\n").unwrap();
        std::os::unix::fs::symlink(there.join("n"), bench.folder.join("n")).unwrap();
        bench.watch(&[("n", None)]);
        bench.hears("n", 1);
        fs::write(there.join("n"), "2\n").unwrap();
        bench.hears("n", 2);
    }

    #[test]
    fn init_file_makes_what_is_missing_and_overwrites_only_at_the_start() {
        let mut bench = Bench::new("init");
        let init = |value, overwrite| Some(InitFile { value, overwrite });
        let text = |bench: &Bench, name: &str| fs::read_to_string(bench.folder.join(name)).unwrap();
        fs::write(bench.folder.join("kept"), "1\n").unwrap();
        fs::write(bench.folder.join("over"), "1\n").unwrap();
        let first = [
            ("kept", init(7, false)),
            ("made", init(8, false)),
            ("over", init(9, true)),
        ];
        bench.watch(&first);
        bench.hears("kept", 1);
        bench.hears("made", 8);
        bench.hears("over", 9);
        assert_eq!(
            (text(&bench, "kept"), text(&bench, "over")),
            ("1\n".into(), "9\n".into())
        );
        fs::write(bench.folder.join("over"), "3\n").unwrap();
        bench.hears("over", 3);
        bench.watch(&[("over", init(9, true)), ("later", init(5, true))]);
        bench.hears("later", 5);
        assert_eq!(text(&bench, "over"), "3\n", "a reload leaves it alone");
    }

    #[test]
    fn a_model_that_is_read_knows_the_numbers_it_will_have() {
        let bench = Bench::new("model");
        let path = bench.folder.join("n");
        let numbers = |init: Option<InitFile>, start| {
            let file = crate::model::TrackFile {
                name: "n".into(),
                file: NumberFile {
                    path: path.clone(),
                    init,
                },
                multiplier: crate::model::Multiplier {
                    weight: 1,
                    reverse: false,
                },
            };
            let mut model = Model::default();
            model.files.insert("n".into(), file.into());
            of(&model, start)["n"]
        };
        let init = |value, overwrite| Some(InitFile { value, overwrite });
        assert_eq!((numbers(None, true), numbers(init(4, false), false)), (0, 4));
        fs::write(&path, "6\n").unwrap();
        assert_eq!(
            (numbers(init(4, false), true), numbers(init(4, true), false)),
            (6, 6)
        );
        assert_eq!(numbers(init(4, true), true), 4);
        assert!(!bench.folder.join("made").exists());
    }
}
