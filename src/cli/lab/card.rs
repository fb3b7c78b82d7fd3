//! The card of a lab: which processes its nodes are, for other commands on this machine.
//!
//! `<folder of the lab>/lab.json`, rewritten whenever a node is started. The lab supervises its nodes: one that is
//! asked to stop, and does, is started again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::World;
use crate::host;

/// What the folders of labs are called, before the number.
pub(super) const FOLDER_PREFIX: &str = "dohle-lab-";

const FILE: &str = "lab.json";

/// A lab that runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct Lab {
    #[serde(skip)]
    folder: PathBuf,
    /// Of the lab itself.
    process: u32,
    pub(in crate::cli) nodes: Vec<LabNode>,
}

/// A node of a lab.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(in crate::cli) struct LabNode {
    pub(in crate::cli) node: i32,
    pub(in crate::cli) process: u32,
    pub(in crate::cli) admin: String,
}

impl Lab {
    /// The lab of this process.
    pub(super) fn ours(folder: &Path, nodes: Vec<LabNode>) -> Self {
        Self { folder: folder.to_owned(), process: host::id(), nodes }
    }

    pub(super) fn write(&self, world: &World) -> std::io::Result<()> {
        let text = serde_json::to_vec(self).map_err(std::io::Error::other)?;
        world.disk.replace(&self.folder.join(FILE), &text)
    }

    /// The lab that runs on this machine and has a node at this admin address; the only one, where none is given.
    pub(in crate::cli) fn find(world: &World, admin: Option<&str>) -> Result<Self, String> {
        let temporary = host::temporary_folder();
        let entries = world.disk.list(&temporary).map_err(|error| format!("{}: {error}", temporary.display()))?;
        let is_lab = |name: &Path| name.to_string_lossy().starts_with(FOLDER_PREFIX);
        let folders = entries.into_iter().filter(|entry| is_lab(&entry.name)).map(|entry| temporary.join(entry.name));
        let labs = folders.filter_map(|folder| Self::read(world, &folder).ok());
        let labs = labs.filter(|lab| host::is_running(lab.process));
        let is_meant = |lab: &Self| admin.is_none_or(|admin| lab.nodes.iter().any(|node| node.admin == admin));
        let mut labs: Vec<Self> = labs.filter(is_meant).collect();
        match (labs.pop(), labs.first()) {
            (Some(lab), None) => Ok(lab),
            (Some(_), Some(_)) => Err("several labs run on this machine: name a node of one by --admin".to_owned()),
            (None, _) => Err("no such lab runs on this machine: `dohle lab` starts one".to_owned()),
        }
    }

    /// The same lab as it is now.
    pub(in crate::cli) fn again(&self, world: &World) -> Result<Self, String> {
        Self::read(world, &self.folder)
    }

    fn read(world: &World, folder: &Path) -> Result<Self, String> {
        let gone = || format!("the lab in {} has ended", folder.display());
        let bytes = world.disk.read(&folder.join(FILE)).map_err(|error| error.to_string())?.ok_or_else(gone)?;
        let lab: Self = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        Ok(Self { folder: folder.to_owned(), ..lab })
    }
}
