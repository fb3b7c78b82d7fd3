//! Who a node is: `<data-dir>/node.toml`, the passport of its directory.
//!
//! ```text
//!   (no file)  EMPTY      belongs to no cluster
//!   founding   FOUNDING   has promised to follow a plan; the cluster may not exist yet
//!   formatted  FORMATTED  belongs to its cluster for good
//! ```
//!
//! Invariants: the file is replaced whole; a directory never changes its cluster, its node or its own id.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::disk::Disk;
use crate::base::ids::{ClusterId, DirectoryId, NodeId};
use crate::quorum::{Member, Roster};

const FILE: &str = "node.toml";
const FORMAT_VERSION: u32 = 1;

/// Where in its life a directory is, once it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Founding,
    Formatted,
}

/// What the passport says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    pub stage: Stage,
    pub node: NodeId,
    pub directory: DirectoryId,
    /// The cluster, and its controllers as this node last knew them.
    pub roster: Roster,
}

/// Why a passport is not valid.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{} cannot be read or written: {cause}", .path.display())]
    Disk { path: PathBuf, cause: io::Error },
    #[error(
        "{} does not say who this node is: {why}; restore it from a copy, or start with an empty directory",
        .path.display()
    )]
    Garbled { path: PathBuf, why: String },
    #[error(
        "{} belongs to node {stored} of cluster {cluster}, not to node {asked}: leave out --node-id, or choose another \
         --data-dir",
        .path.display()
    )]
    OtherNode { path: PathBuf, stored: NodeId, asked: NodeId, cluster: ClusterId },
    #[error(
        "{} is gone, but the metadata of a cluster is still beside it: restore it from a copy, or start with an empty \
         directory",
        .path.display()
    )]
    Lost { path: PathBuf },
}

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Passport {
    format_version: u32,
    state: Stage,
    cluster_id: String,
    node_id: i32,
    directory_id: String,
    #[serde(default)]
    controllers: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    node_id: i32,
    directory_id: String,
    address: String,
}

impl Identity {
    /// Reads the passport of a data directory; none in an empty one. `asked`: who the node is told to be.
    pub fn read(disk: &dyn Disk, data_dir: &Path, asked: Option<NodeId>) -> Result<Option<Self>, IdentityError> {
        let path = data_dir.join(FILE);
        let failed = |cause| IdentityError::Disk { path: path.clone(), cause };
        let Some(bytes) = disk.read(&path).map_err(failed)? else {
            let entries = disk.list(data_dir).map_err(failed)?;
            let orphaned = entries.iter().any(|entry| entry.name == Path::new(super::METADATA_FOLDER));
            return if orphaned { Err(IdentityError::Lost { path }) } else { Ok(None) };
        };
        let identity = Self::parse(&bytes).map_err(|why| IdentityError::Garbled { path: path.clone(), why })?;
        match asked.filter(|asked| *asked != identity.node) {
            Some(asked) => {
                Err(IdentityError::OtherNode { path, stored: identity.node, asked, cluster: identity.roster.cluster })
            }
            None => Ok(Some(identity)),
        }
    }

    /// Makes the passport say this, whatever it said before.
    pub fn write(&self, disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        disk.replace(&data_dir.join(FILE), self.text()?.as_bytes())
    }

    /// Whether this directory holds a voter of the quorum.
    pub fn is_controller(&self) -> bool {
        self.roster.in_directory(self.directory).is_some()
    }

    fn text(&self) -> io::Result<String> {
        let entry = |member: &Member| Entry {
            node_id: member.node.0,
            directory_id: member.directory.to_string(),
            address: member.address.clone(),
        };
        let passport = Passport {
            format_version: FORMAT_VERSION,
            state: self.stage,
            cluster_id: self.roster.cluster.to_string(),
            node_id: self.node.0,
            directory_id: self.directory.to_string(),
            controllers: self.roster.controllers.iter().map(entry).collect(),
        };
        let text = toml::to_string(&passport).map_err(io::Error::other)?;
        Ok(format!(
            "# Written by dohle. Without this file the directory belongs to nobody: keep it with the data.\n{text}"
        ))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let passport: Passport = toml::from_str(text).map_err(|error| error.to_string())?;
        if passport.format_version != FORMAT_VERSION {
            return Err(format!(
                "its format {} is not the one this program knows, {FORMAT_VERSION}",
                passport.format_version
            ));
        }
        let directory = |text: &str| text.parse::<DirectoryId>().map_err(|error| error.to_string());
        let member = |entry: Entry| {
            let directory = directory(&entry.directory_id)?;
            Ok(Member { node: NodeId(entry.node_id), directory, address: entry.address })
        };
        let roster = Roster {
            cluster: passport.cluster_id.parse::<ClusterId>().map_err(|error| error.to_string())?,
            controllers: passport.controllers.into_iter().map(member).collect::<Result<_, String>>()?,
        };
        let directory = directory(&passport.directory_id)?;
        Ok(Self { stage: passport.state, node: NodeId(passport.node_id), directory, roster })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::Uuid;

    fn identity() -> Identity {
        let member = |node, byte| Member {
            node: NodeId(node),
            directory: DirectoryId(Uuid([byte; 16])),
            address: format!("n{node}:9093"),
        };
        Identity {
            stage: Stage::Founding,
            node: NodeId(2),
            directory: DirectoryId(Uuid([2; 16])),
            roster: Roster { cluster: ClusterId(Uuid([7; 16])), controllers: vec![member(1, 1), member(2, 2)] },
        }
    }

    #[test]
    fn a_passport_is_read_as_it_was_written() {
        let text = identity().text().unwrap();
        assert_eq!(Identity::parse(text.as_bytes()), Ok(identity()));
        assert!(identity().is_controller());
    }

    #[test]
    fn a_passport_of_another_time_or_hand_is_refused() {
        let text = identity().text().unwrap();
        let later = text.replace("format_version = 1", "format_version = 2");
        assert!(Identity::parse(later.as_bytes()).unwrap_err().contains("format 2"));
        for damaged in [text.replace("founding", "lost"), text.replace("cluster_id", "cluster"), String::new()] {
            assert!(Identity::parse(damaged.as_bytes()).is_err(), "{damaged}");
        }
    }
}
