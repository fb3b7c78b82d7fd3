//! RocksDB as the metadata store.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, DB, DBCompressionType, DBRecoveryMode, Direction, IteratorMode, Options,
    WriteBatch,
};

use crate::base::store::{Batch, Change, Pair, Store, Stores, Table};

const MIB: usize = 1024 * 1024;

/// Of all tables together. What is read is read once, at the start or by a voter that was away; RocksDB's own default
/// would set up six megabytes for each table, and fill none of it.
const CACHE_BYTES: usize = MIB;

pub(super) struct RocksStores;

impl Stores for RocksStores {
    fn open(&self, folder: &Path) -> io::Result<Arc<dyn Store>> {
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        let tables = Table::ALL.map(|table| (table.name(), table_options(table, &cache)));
        let database = DB::open_cf_with_opts(&database_options(&cache), folder, tables).map_err(failed)?;
        Ok(Arc::new(RocksStore { database }))
    }
}

/// A small database with few writers: little memory, one background job beside the flush, no chatter.
fn database_options(cache: &Cache) -> Options {
    let mut options = cached(cache); // for the table that every database has, too
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // Whole batches in order up to the first damage: what the store promises. Recycled journals need this mode too;
    // with the others RocksDB silently turns recycling off.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_recycle_log_file_num(4);
    options.set_atomic_flush(true);
    options.set_max_background_jobs(2);
    options.set_max_total_wal_size(64 * MIB as u64);
    options.set_keep_log_file_num(4);
    options.set_stats_dump_period_sec(0);
    options
}

fn table_options(table: Table, cache: &Cache) -> Options {
    let mut options = cached(cache);
    options.set_write_buffer_size(if table == Table::Log { 16 * MIB } else { 4 * MIB });
    options.set_compression_type(match table {
        Table::Image => DBCompressionType::Lz4,
        Table::Log | Table::Hard => DBCompressionType::None, // short-lived or tiny
    });
    options
}

fn cached(cache: &Cache) -> Options {
    let (mut options, mut blocks) = (Options::default(), BlockBasedOptions::default());
    blocks.set_block_cache(cache);
    options.set_block_based_table_factory(&blocks);
    options
}

struct RocksStore {
    database: DB,
}

impl RocksStore {
    fn table(&self, table: Table) -> &ColumnFamily {
        self.database.cf_handle(table.name()).expect("every table was opened with the store")
    }
}

impl Store for RocksStore {
    fn read(&self, table: Table, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.database.get_cf(self.table(table), key).map_err(failed)
    }

    fn scan(&self, table: Table, keys: RangeInclusive<&[u8]>, most: usize) -> io::Result<Vec<Pair>> {
        let mut found = Vec::new();
        let from = IteratorMode::From(keys.start(), Direction::Forward);
        for pair in self.database.iterator_cf(self.table(table), from) {
            let (key, value) = pair.map_err(failed)?;
            if found.len() == most || &*key > *keys.end() {
                break;
            }
            found.push((key.into_vec(), value.into_vec()));
        }
        Ok(found)
    }

    fn last(&self, table: Table) -> io::Result<Option<Pair>> {
        let pair = self.database.iterator_cf(self.table(table), IteratorMode::End).next();
        let Some((key, value)) = pair.transpose().map_err(failed)? else { return Ok(None) };
        Ok(Some((key.into_vec(), value.into_vec())))
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        let mut changes = WriteBatch::default();
        for change in batch.changes {
            match change {
                Change::Put { table, key, value } => changes.put_cf(self.table(table), key, value),
                Change::Delete { table, key } => changes.delete_cf(self.table(table), key),
                Change::DeleteRange { table, from, until } => {
                    changes.delete_range_cf(self.table(table), from, until);
                }
            }
        }
        self.database.write(changes).map_err(failed)
    }

    fn sync(&self) -> io::Result<()> {
        self.database.flush_wal(true).map_err(failed)
    }
}

fn failed(error: rocksdb::Error) -> io::Error {
    io::Error::other(format!("metadata store: {error}"))
}
