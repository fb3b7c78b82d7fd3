//! The metadata store of a simulated machine: maps in memory, and a journal on the simulated disk that they are made
//! from again. It keeps the store's promises with nothing but the disk's, so a crash tears it where a disk would tear.
//!
//! The journal is one file of records: `length u32 · checksum u64 · changes`. Replay ends at the first record that does
//! not check out, which is then cut off.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, IoSlice};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, Mutex};

use dohle::base::disk::{Disk, File, Open};
use dohle::base::store::{Batch, Change, Pair, Store, Stores, Table};

const RECORD_HEAD: usize = 4 + 8;

pub struct JournalStores {
    pub disk: Arc<dyn Disk>,
}

impl Stores for JournalStores {
    fn open(&self, folder: &Path) -> io::Result<Arc<dyn Store>> {
        self.disk.create_folder(folder)?;
        let file = self.disk.open(&folder.join("journal"), Open::Create)?;
        for made in folder.ancestors() {
            self.disk.sync_folder(made)?;
        }
        let mut bytes = vec![0; file.len()? as usize];
        file.read_at(&mut bytes, 0)?;
        let mut content = Content { tables: BTreeMap::new(), end: 0 };
        while let Some((changes, length)) = record_at(&bytes[content.end as usize..]) {
            changes.into_iter().for_each(|change| content.apply(change));
            content.end += length as u64;
        }
        file.set_len(content.end)?;
        file.sync_data()?;
        Ok(Arc::new(Journal { file, content: Mutex::new(content) }))
    }
}

struct Journal {
    file: Arc<dyn File>,
    content: Mutex<Content>,
}

struct Content {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    end: u64,
}

impl Content {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Put { table, key, value } => {
                self.tables.entry(table).or_default().insert(key, value);
            }
            Change::Delete { table, key } => {
                self.tables.entry(table).or_default().remove(&key);
            }
            Change::DeleteRange { table, from, until } => {
                self.tables.entry(table).or_default().retain(|key, _| *key < from || *key >= until);
            }
        }
    }
}

impl Store for Journal {
    fn read(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let content = self.content.lock().expect("the store does not panic");
        Ok(content.tables.get(&table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: Table, keys: RangeInclusive<&[u8]>, most: usize) -> io::Result<Vec<Pair>> {
        let content = self.content.lock().expect("the store does not panic");
        let Some(rows) = content.tables.get(&table) else { return Ok(Vec::new()) };
        let found = rows.range(keys.start().to_vec()..=keys.end().to_vec()).take(most);
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, table: Table) -> io::Result<Option<Pair>> {
        let content = self.content.lock().expect("the store does not panic");
        let last = content.tables.get(&table).and_then(BTreeMap::last_key_value);
        Ok(last.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        let mut content = self.content.lock().expect("the store does not panic");
        let record = record_of(&batch.changes);
        self.file.write_at(&[IoSlice::new(&record)], content.end)?;
        content.end += record.len() as u64;
        batch.changes.into_iter().for_each(|change| content.apply(change));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn record_of(changes: &[Change]) -> Vec<u8> {
    let mut body = Vec::new();
    for change in changes {
        let (kind, table, first, second): (u8, &Table, &[u8], &[u8]) = match change {
            Change::Put { table, key, value } => (0, table, key, value),
            Change::Delete { table, key } => (1, table, key, &[]),
            Change::DeleteRange { table, from, until } => (2, table, from, until),
        };
        body.extend([kind, Table::ALL.iter().position(|known| known == table).expect("ALL is all") as u8]);
        for part in [first, second] {
            body.extend((part.len() as u32).to_le_bytes());
            body.extend(part);
        }
    }
    let mut record = (body.len() as u32).to_le_bytes().to_vec();
    record.extend(checksum(&body).to_le_bytes());
    record.extend(body);
    record
}

/// The record at the start of `bytes` and its length, or nothing if it is torn or absent.
fn record_at(bytes: &[u8]) -> Option<(Vec<Change>, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let sum = u64::from_le_bytes(bytes.get(4..RECORD_HEAD)?.try_into().ok()?);
    let mut body = bytes.get(RECORD_HEAD..RECORD_HEAD + length)?;
    if checksum(body) != sum || length == 0 {
        return None;
    }
    let mut changes = Vec::new();
    while !body.is_empty() {
        let (kind, table) = (body[0], Table::ALL[body[1] as usize]);
        body = &body[2..];
        let (first, second) = (part(&mut body), part(&mut body));
        changes.push(match kind {
            0 => Change::Put { table, key: first, value: second },
            1 => Change::Delete { table, key: first },
            _ => Change::DeleteRange { table, from: first, until: second },
        });
    }
    Some((changes, RECORD_HEAD + length))
}

fn part(body: &mut &[u8]) -> Vec<u8> {
    let (length, rest) = body.split_at(4);
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    let (part, rest) = rest.split_at(length);
    *body = rest;
    part.to_vec()
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new(); // its keys are fixed: the same bytes give the same sum in every process
    hasher.write(bytes);
    hasher.finish()
}
