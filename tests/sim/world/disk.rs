//! A simulated disk with two layers: what processes see, and what would survive the machine.
//!
//! - A *process crash* keeps everything that was written; only open files are gone.
//! - A *machine crash* keeps what was synced. Of the rest each 4 KiB page survives or not by itself (torn writes), a
//!   file's length may be the old one, the new one or one between, and names that were created, renamed or removed
//!   without a sync of their folder survive only up to some moment.
//! - Reads, writes and syncs can be made to fail (EIO), and room can run out (ENOSPC).
//!
//! Stricter than most real file systems: syncing a file does not make its name durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use dohle::base::disk::{BootId, Disk, Entry, File, Lock, Open, Space};
use dohle::base::ids::Uuid;

use super::dice::Dice;
use super::trace::Trace;

const PAGE: usize = 4096;

/// The disk as one process sees it. When the next process has been given its handle, this one is dead.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    process: u64,
}

/// A call that can be made to fail.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Call {
    Read,
    Write,
    Sync,
}

struct State {
    dice: Dice,
    trace: Trace,
    boot: u64,
    process: u64,
    capacity: u64,
    /// The next call of these kinds fails.
    broken: BTreeSet<Call>,
    names: Names,
    durable_names: Names,
    /// Changes of names that no sync has made durable yet, oldest first.
    pending: Vec<NameChange>,
    files: BTreeMap<u64, Content>,
    next_file: u64,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    Folder,
    File(u64),
}

#[derive(Clone, Debug)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
    dirty_pages: BTreeSet<usize>,
}

impl SimDisk {
    pub fn new(dice: Dice, trace: Trace) -> Self {
        let root = Names::from([(PathBuf::from("/"), Node::Folder)]);
        let state = State {
            boot: dice.number(),
            dice,
            trace,
            process: 0,
            capacity: u64::MAX,
            broken: BTreeSet::new(),
            names: root.clone(),
            durable_names: root,
            pending: Vec::new(),
            files: BTreeMap::new(),
            next_file: 1,
        };
        Self { state: Arc::new(Mutex::new(state)), process: 0 }
    }

    /// The disk for a new process. The machine still runs: everything written is there.
    pub fn handle_of_next_process(&self) -> Self {
        let mut state = self.lock();
        state.process += 1;
        state.broken.clear(); // a failure that was armed and not met is not the next process's
        state.capacity = u64::MAX;
        Self { state: Arc::clone(&self.state), process: state.process }
    }

    /// The machine loses power: what was not synced is at the mercy of the dice.
    pub fn crash_machine(&self) {
        let mut state = self.lock();
        state.process += 1;
        state.boot = state.dice.number();
        state.lose_unsynced_names();
        state.lose_unsynced_pages();
    }

    /// Another disk is put into the machine: an empty one.
    pub fn wipe(&self) {
        let mut state = self.lock();
        state.process += 1;
        let root = Names::from([(PathBuf::from("/"), Node::Folder)]);
        (state.names, state.durable_names) = (root.clone(), root);
        state.pending.clear();
        state.files.clear();
    }

    /// Makes the next call of this kind fail with EIO.
    pub fn break_next(&self, call: Call) {
        self.lock().broken.insert(call);
    }

    /// Sets how many bytes all files together may have, until the next process starts.
    pub fn limit(&self, capacity: u64) {
        self.lock().capacity = capacity;
    }

    /// Sets that all files together may have so many bytes more than they have.
    pub fn fill(&self, left: u64) {
        let mut state = self.lock();
        state.capacity = state.used() + left;
    }

    /// Shows every file in a folder and those below it to a check, as a process would see them; also on a machine that
    /// is down.
    pub fn look(&self, folder: &Path, mut see: impl FnMut(&Path, &[u8])) {
        self.lock().files_below(folder, |state| &state.names, |path, content| see(path, &content.now));
    }

    /// The same of what would be there after a crash of the machine that takes all it can.
    pub fn look_at_durable(&self, folder: &Path, mut see: impl FnMut(&Path, &[u8])) {
        self.lock().files_below(folder, |state| &state.durable_names, |path, content| see(path, &content.synced));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the disk does not panic")
    }

    /// The state, for a process that is still alive.
    fn alive(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.process != self.process {
            return Err(io::Error::other("a dead process touched the disk"));
        }
        Ok(state)
    }
}

impl State {
    fn files_below(&self, folder: &Path, names: impl Fn(&Self) -> &Names, mut see: impl FnMut(&Path, &Content)) {
        let below = names(self).range(folder.to_owned()..).take_while(|(path, _)| path.starts_with(folder));
        for (path, node) in below {
            if let Node::File(file) = node
                && let Some(content) = self.files.get(file)
            {
                see(path, content);
            }
        }
    }

    fn lose_unsynced_names(&mut self) {
        let survive = self.dice.below(self.pending.len() as u64 + 1) as usize;
        for change in std::mem::take(&mut self.pending).into_iter().take(survive) {
            apply(&mut self.durable_names, change);
        }
        let reachable = self.durable_names.clone();
        let is_folder = |path: &Path| reachable.get(path) == Some(&Node::Folder);
        self.durable_names.retain(|path, _| path.ancestors().skip(1).all(is_folder));
        self.names = self.durable_names.clone();
    }

    fn lose_unsynced_pages(&mut self) {
        let kept: BTreeSet<u64> = self
            .names
            .values()
            .filter_map(|node| if let Node::File(file) = node { Some(*file) } else { None })
            .collect();
        self.files.retain(|file, _| kept.contains(file));
        for content in self.files.values_mut() {
            content.lose_unsynced(&self.dice);
        }
    }

    fn fails(&mut self, call: Call) -> io::Result<()> {
        if self.broken.remove(&call) {
            self.trace.event(format_args!("disk {call:?} fails"));
            return Err(io::Error::other(format!("simulated EIO on {call:?}")));
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.files.values().map(|content| content.now.len() as u64).sum()
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, change.clone());
        self.pending.push(change);
    }

    fn folder(&self, path: &Path) -> io::Result<()> {
        match self.names.get(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn content(&mut self, file: u64) -> &mut Content {
        // A removed file lives on for those who have it open.
        self.files.entry(file).or_default()
    }
}

impl Content {
    fn lose_unsynced(&mut self, dice: &Dice) {
        let odds = *dice.pick(&[0, 50, 50, 100]);
        let mut survived = self.synced.clone();
        for page in std::mem::take(&mut self.dirty_pages) {
            let end = self.now.len().min((page + 1) * PAGE);
            let start = page * PAGE;
            if start < end && dice.chance(odds) {
                survived.resize(survived.len().max(end), 0);
                survived[start..end].copy_from_slice(&self.now[start..end]);
            }
        }
        // A length that was not synced may be any between the old and the new one.
        let (low, high) = (self.now.len().min(self.synced.len()), self.now.len().max(self.synced.len()));
        survived.resize(*dice.pick(&[low, high, dice.between(low as u64, high as u64) as usize]), 0);
        self.now.clone_from(&survived);
        self.synced = survived;
    }

    fn sync(&mut self) {
        self.synced.resize(self.now.len(), 0);
        for page in std::mem::take(&mut self.dirty_pages) {
            let (start, end) = (page * PAGE, self.now.len().min((page + 1) * PAGE));
            if start < end {
                self.synced[start..end].copy_from_slice(&self.now[start..end]);
            }
        }
    }

    fn mark_dirty(&mut self, from: usize, until: usize) {
        self.dirty_pages.extend(from / PAGE..until.div_ceil(PAGE));
    }
}

fn apply(names: &mut Names, change: NameChange) {
    match change {
        NameChange::Add(path, node) => {
            names.insert(path, node);
        }
        NameChange::Remove(path) => names.retain(|name, _| !name.starts_with(&path)),
        NameChange::Rename(from, to) => {
            let moved: Vec<_> = names.extract_if(.., |name, _| name.starts_with(&from)).collect();
            names.retain(|name, _| moved.is_empty() || !name.starts_with(&to));
            for (name, node) in moved {
                let rest = name.strip_prefix(&from).expect("it starts with the old name");
                names.insert(if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) }, node);
            }
        }
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no {} on this disk", path.display()))
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("every path on a simulated disk is absolute")
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.alive()?;
        let file = match (state.names.get(path), how) {
            (Some(Node::Folder), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::File(file)), _) => *file,
            (None, Open::Read | Open::Write) => return Err(not_found(path)),
            (None, Open::Create | Open::CreateNew) => {
                state.folder(parent(path))?;
                let file = state.next_file;
                state.next_file += 1;
                state.files.insert(file, Content::default());
                state.change(NameChange::Add(path.to_owned(), Node::File(file)));
                file
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), file, path: path.to_owned(), writable: how != Open::Read }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let state = self.alive()?;
        state.folder(folder)?;
        let within = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        Ok(within
            .map(|(path, node)| Entry {
                name: path.file_name().expect("a name in a folder").into(),
                is_folder: *node == Node::Folder,
            })
            .collect())
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        let mut path = PathBuf::new();
        for part in folder.components() {
            path.push(part);
            match state.names.get(&path) {
                Some(Node::Folder) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => state.change(NameChange::Add(path.clone(), Node::Folder)),
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        if !state.names.contains_key(from) {
            return Err(not_found(from));
        }
        state.folder(parent(to))?;
        state.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        match state.names.get(path) {
            Some(Node::File(_)) => state.change(NameChange::Remove(path.to_owned())),
            Some(Node::Folder) => return Err(io::ErrorKind::IsADirectory.into()),
            None => return Err(not_found(path)),
        }
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.folder(folder)?;
        state.change(NameChange::Remove(folder.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.alive()?;
        state.fails(Call::Sync)?;
        state.folder(folder)?;
        let touches = |change: &NameChange| match change {
            NameChange::Add(path, _) | NameChange::Remove(path) => path == folder || path.parent() == Some(folder),
            NameChange::Rename(from, to) => from.parent() == Some(folder) || to.parent() == Some(folder),
        };
        let (durable, pending) = std::mem::take(&mut state.pending).into_iter().partition(touches);
        state.pending = pending;
        let durable: Vec<NameChange> = durable;
        for change in durable {
            apply(&mut state.durable_names, change);
        }
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Lock>> {
        // A machine runs one process at a time here, and a dead one holds nothing.
        self.alive().map(|_| Box::new(Held) as Box<dyn Lock>)
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        let state = self.alive()?;
        Ok(Space { free: state.capacity - state.used().min(state.capacity), total: state.capacity })
    }

    fn boot(&self) -> io::Result<BootId> {
        Ok(BootId(Uuid(u128::from(self.alive()?.boot).to_be_bytes())))
    }
}

struct Held;

impl Lock for Held {}

struct SimFile {
    disk: SimDisk,
    file: u64,
    path: PathBuf,
    writable: bool,
}

impl SimFile {
    fn to_write(&self) -> io::Result<MutexGuard<'_, State>> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut state = self.disk.alive()?;
        state.fails(Call::Write)?;
        Ok(state)
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.disk.alive()?;
        state.fails(Call::Read)?;
        let content = state.content(self.file);
        let rest = content.now.get(position as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if self.disk.alive()?.dice.chance(20) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut state = self.to_write()?;
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let free = state.capacity - state.used().min(state.capacity);
        let content = state.content(self.file);
        let start = position as usize;
        let end = start + bytes.len();
        let grows = end.saturating_sub(content.now.len()) as u64;
        let fits =
            if grows <= free { bytes.len() } else { bytes.len() - (grows - free).min(bytes.len() as u64) as usize };
        let end = end.min(start + fits);
        content.mark_dirty(start.min(content.now.len()), end);
        if content.now.len() < end {
            content.now.resize(end, 0);
        }
        content.now[start..end].copy_from_slice(&bytes[..fits]);
        let name = self.path.display();
        state.trace.event(format_args!("write {name} {fits} at {position}"));
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.alive()?;
        state.fails(Call::Sync)?;
        state.content(self.file).sync();
        state.trace.event(format_args!("sync {}", self.path.display()));
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.to_write()?;
        let content = state.content(self.file);
        let before = content.now.len();
        content.now.resize(length as usize, 0);
        content.mark_dirty(before.min(length as usize), before.max(length as usize));
        Ok(())
    }

    fn reserve(&self, length: u64) -> io::Result<()> {
        let mut state = self.to_write()?;
        let (used, capacity) = (state.used(), state.capacity);
        let has = state.content(self.file).now.len() as u64;
        if used + length.saturating_sub(has) > capacity { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.content(self.file).now.len() as u64)
    }
}
