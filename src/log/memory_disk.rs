//! A disk in memory for the tests of logs: it can fill up, tear a write, die at any call, and lose what was not synced.
//!
//! When the power goes, changes of names survive up to some moment, as a journal keeps them; of the bytes of a file
//! that were not synced, anything may survive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::base::disk::{BootId, Disk, Entry, File, Lock, Open, Space};
use crate::base::ids::Uuid;

/// xorshift: the same run for the same seed, everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names that no sync has made durable, oldest first.
    pending: Vec<Change>,
    files: Vec<Content>,
    /// Calls that changed something, and at which of them the process dies, perhaps half-way through a write.
    calls: usize,
    death: Option<(usize, bool)>,
    /// Bytes that can still be written before the disk is full, and before it dies in the middle of a write.
    room: Option<usize>,
    life: Option<usize>,
    /// Pages are never in memory.
    cold: bool,
}

#[derive(Clone)]
enum Change {
    Add(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Change {
    fn is_in(&self, folder: &Path) -> bool {
        let (Self::Add(path, _) | Self::Remove(path) | Self::Rename(path, _)) = self;
        path.parent() == Some(folder)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Add(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl State {
    /// Counts a call that changes something; an error from the one on at which the process dies.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.death {
            Some((at, _)) if self.calls >= at => Err(io::Error::other("the process is dead")),
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.pending.push(change);
    }
}

#[derive(Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

struct Handle {
    disk: MemoryDisk,
    file: usize,
}

impl MemoryDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the disk locked")
    }

    /// From now on so many bytes fit, or any number again.
    pub(super) fn limit(&self, room: Option<usize>) {
        self.state().room = room;
    }

    /// After so many more bytes nothing is written any more, as if the process had been killed; or all is well again.
    pub(super) fn die_after(&self, life: Option<usize>) {
        self.state().life = life;
    }

    /// How many calls have changed something.
    pub(super) fn calls(&self) -> usize {
        self.state().calls
    }

    /// The process dies at this call, counted from now; if that is a write, half of it may be done. Or nobody dies.
    pub(super) fn die_at(&self, call: Option<usize>, tearing: bool) {
        let mut state = self.state();
        state.death = call.map(|call| (state.calls + 1 + call, tearing));
    }

    pub(super) fn chill(&self, cold: bool) {
        self.state().cold = cold;
    }

    /// Changes one byte behind everybody's back.
    pub(super) fn damage(&self, path: &Path, at: usize) {
        let mut state = self.state();
        let file = state.names[path];
        let content = &mut state.files[file];
        content.bytes[at] ^= 0x55;
        if let Some(byte) = content.durable.get_mut(at) {
            *byte ^= 0x55;
        }
    }

    /// Something happens to a file behind everybody's back: bits, lengths, or a stretch of another file.
    pub(super) fn spoil(&self, random: &mut Random) {
        let mut state = self.state();
        let files: Vec<usize> = state.names.values().copied().collect();
        let other = state.files[files[random.below(files.len())]].bytes.clone();
        let bytes = &mut state.files[files[random.below(files.len())]].bytes;
        let at = random.below(bytes.len());
        match random.below(6) {
            0 | 1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            2 => bytes.truncate(at),
            3 => bytes.extend(std::iter::repeat_n(random.below(256) as u8, random.below(100))),
            4 => bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = [0, 0x7f, 0xff][random.below(3)]),
            _ => bytes.iter_mut().skip(at).zip(other).take(random.below(64)).for_each(|(byte, new)| *byte = new),
        }
    }

    /// The power goes: of what was not synced, anything may be there or not.
    pub(super) fn lose_power(&self, random: &mut Random) {
        let mut state = self.state();
        let mut names = state.durable_names.clone();
        let pending = std::mem::take(&mut state.pending);
        pending[..random.below(pending.len() + 1)].iter().for_each(|change| change.apply(&mut names));
        for content in &mut state.files {
            content.bytes = survivors(content, random);
            content.durable.clone_from(&content.bytes);
        }
        state.names.clone_from(&names);
        state.durable_names = names;
    }
}

fn survivors(content: &Content, random: &mut Random) -> Vec<u8> {
    let Content { bytes, durable } = content;
    if bytes == durable || random.one_in(4) {
        return durable.clone();
    }
    let same = bytes.iter().zip(durable).take_while(|(new, old)| new == old).count();
    let mut left = bytes[..same + random.below(bytes.len() - same + 1)].to_vec();
    if random.one_in(3) && left.len() > same {
        let from = same + random.below(left.len() - same);
        let to = left.len().min(from + 64);
        left[from..to].fill(0); // a page that was never written, before one that was
    }
    left
}

impl Disk for MemoryDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let file = match (state.names.get(path), how) {
            (Some(_), Open::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(&file), _) => file,
            (None, Open::Read | Open::Write) => return Err(io::ErrorKind::NotFound.into()),
            (None, Open::Create | Open::CreateNew) => {
                if !state.folders.contains(path.parent().expect("a folder")) || state.life == Some(0) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                state.call()?;
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.change(Change::Add(path.into(), file));
                file
            }
        };
        Ok(Arc::new(Handle { disk: self.clone(), file }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let state = self.state();
        let inside = |path: &PathBuf| path.parent() == Some(folder);
        let name = |path: &Path| path.file_name().expect("a name").into();
        let folders = state.folders.iter().filter(|p| inside(p)).map(|p| Entry { name: name(p), is_folder: true });
        let files = state.names.keys().filter(|p| inside(p)).map(|p| Entry { name: name(p), is_folder: false });
        let mut entries: Vec<Entry> = folders.chain(files).collect();
        entries.sort();
        Ok(entries)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().folders.extend(folder.ancestors().map(PathBuf::from));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        if state.folders.remove(from) {
            state.folders.insert(to.into());
            let moved = |path: PathBuf| path.strip_prefix(from).map_or(path.clone(), |rest| to.join(rest));
            state.names =
                std::mem::take(&mut state.names).into_iter().map(|(path, file)| (moved(path), file)).collect();
            return Ok(());
        }
        if !state.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(Change::Rename(from.into(), to.into()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.call()?;
        state.change(Change::Remove(path.into()));
        Ok(())
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.names.retain(|path, _| !path.starts_with(folder));
        state.folders.retain(|path| !path.starts_with(folder));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call()?;
        let (now, later): (Vec<_>, _) =
            std::mem::take(&mut state.pending).into_iter().partition(|change| change.is_in(folder));
        state.pending = later;
        now.iter().for_each(|change| change.apply(&mut state.durable_names));
        Ok(())
    }

    fn lock(&self, _path: &Path) -> io::Result<Box<dyn Lock>> {
        Err(io::ErrorKind::Unsupported.into()) // a log locks nothing
    }

    fn space(&self, _path: &Path) -> io::Result<Space> {
        Ok(Space { free: 0, total: 0 })
    }

    fn boot(&self) -> io::Result<BootId> {
        Ok(BootId(Uuid::ZERO))
    }
}

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let bytes = &state.files[self.file].bytes;
        let there = bytes.get(position as usize..).unwrap_or_default();
        let read = there.len().min(buffer.len());
        buffer[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn read_at_cached(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        if self.disk.state().cold {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let alive = state.call();
        let torn = state.death.is_some_and(|(at, tearing)| tearing && state.calls == at);
        if alive.is_err() && !torn {
            return alive;
        }
        let reach = if torn { wanted / 2 } else { wanted };
        let most = reach.min(state.room.unwrap_or(wanted)).min(state.life.unwrap_or(wanted));
        let written = &slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>()[..wanted.min(most)];
        let is_full = state.room.is_some_and(|room| room < wanted);
        state.room = state.room.map(|room| room - written.len());
        state.life = state.life.map(|life| life - written.len());
        let bytes = &mut state.files[self.file].bytes;
        let (from, to) = (position as usize, position as usize + written.len());
        if !written.is_empty() {
            bytes.resize(bytes.len().max(to), 0);
            bytes[from..to].copy_from_slice(written);
        }
        match written.len() == wanted {
            true => Ok(()),
            false if is_full => Err(io::ErrorKind::StorageFull.into()),
            false => Err(io::Error::other("the disk died")),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        if state.life == Some(0) {
            return Err(io::Error::other("the disk died"));
        }
        let content = &mut state.files[self.file];
        content.durable.clone_from(&content.bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.call()?;
        if state.life == Some(0) {
            return Err(io::Error::other("the disk died"));
        }
        state.files[self.file].bytes.resize(length as usize, 0);
        Ok(())
    }

    fn reserve(&self, _length: u64) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].bytes.len() as u64)
    }
}
