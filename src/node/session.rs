//! How the run before this one ended: `<data-dir>/session.toml`, rewritten at each registration and at a clean end.
//!
//! Invariants: what cannot be proven to be harmless counts as a crash of the machine.
//! Absent on purpose: deciding what that means for replicas (`controller/nodes.rs`).

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::disk::{BootId, Disk};
use crate::base::ids::{BrokerEpoch, IncarnationId};
use crate::base::mutants::Mutant;
use crate::metadata::nodes::Boot;

const FILE: &str = "session.toml";

/// A run that has been registered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Record {
    broker_epoch: i64,
    incarnation_id: String,
    /// The run of the machine: as long as it is the same, the page cache is. Empty if it cannot be relied on.
    boot_id: String,
    /// Everything was flushed, and nothing was written afterwards.
    clean: bool,
}

/// What a new run can say about the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunBefore {
    pub boot: Boot,
    pub epoch: Option<BrokerEpoch>,
}

impl RunBefore {
    /// Reads what the last run left. A directory that no run has registered has nothing to lose.
    pub fn read(disk: &dyn Disk, data_dir: &Path) -> io::Result<Self> {
        let Some(bytes) = disk.read(&data_dir.join(FILE))? else { return Ok(Self { boot: Boot::Clean, epoch: None }) };
        let record = std::str::from_utf8(&bytes).ok().and_then(|text| toml::from_str::<Record>(text).ok());
        let Some(record) = record else { return Ok(Self { boot: Boot::MachineCrash, epoch: None }) };
        let boot = if record.clean {
            Boot::Clean
        } else if record.boot_id == disk.boot()?.0.to_string() || Mutant::MachineCrashUnnoticed.lives() {
            Boot::ProcessCrash
        } else {
            Boot::MachineCrash
        };
        Ok(Self { boot, epoch: Some(BrokerEpoch(record.broker_epoch)) })
    }
}

/// Notes that a run is registered; until it is noted as ended cleanly, it counts as crashed. To be called before
/// anything is written in the new registration's name.
pub fn note_registered(
    disk: &dyn Disk,
    data_dir: &Path,
    epoch: BrokerEpoch,
    incarnation: IncarnationId,
) -> io::Result<()> {
    note(disk, data_dir, epoch, incarnation, Some(disk.boot()?), false)
}

/// Notes that what a run has written may not be there although the machine still runs: its disk failed.
pub fn note_doubtful(
    disk: &dyn Disk,
    data_dir: &Path,
    epoch: BrokerEpoch,
    incarnation: IncarnationId,
) -> io::Result<()> {
    note(disk, data_dir, epoch, incarnation, None, false)
}

/// Notes that a run has flushed everything, after which it must not write any more.
pub fn note_clean(disk: &dyn Disk, data_dir: &Path, epoch: BrokerEpoch, incarnation: IncarnationId) -> io::Result<()> {
    note(disk, data_dir, epoch, incarnation, Some(disk.boot()?), true)
}

fn note(
    disk: &dyn Disk,
    data_dir: &Path,
    epoch: BrokerEpoch,
    incarnation: IncarnationId,
    boot: Option<BootId>,
    clean: bool,
) -> io::Result<()> {
    let boot_id = boot.map_or_else(String::new, |boot| boot.0.to_string());
    let record = Record { broker_epoch: epoch.0, incarnation_id: incarnation.to_string(), boot_id, clean };
    let text = toml::to_string(&record).map_err(io::Error::other)?;
    disk.replace(&data_dir.join(FILE), text.as_bytes())
}
