//! Other work, which leaves the cluster only its share of the processors.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until};

use super::LabError;
use super::processes::failed;
use crate::cli::{Console, Exit};
use crate::host::{self, Child};

/// How often the command beside is started.
const BESIDE_PAUSE: Duration = Duration::from_secs(10);

/// A process that only computes.
#[derive(Args)]
pub(in crate::cli) struct BusyArguments {
    /// Ends together with this process, its parent
    #[arg(long, value_name = "PROCESS")]
    die_with: u32,
}

/// Computes for ever.
pub(in crate::cli) fn run(arguments: &BusyArguments, console: &mut Console) -> Exit {
    if let Err(error) = host::die_with(arguments.die_with) {
        console.complain(&format!("dohle busy: cannot live and die with process {}: {error}", arguments.die_with));
        return Exit::Failed;
    }
    loop {
        std::hint::spin_loop();
    }
}

/// Keeps every processor busy until then, and starts a command every ten seconds if one is given.
pub(super) async fn endure(until: Instant, beside: Option<&str>, folder: &Path) -> Result<(), LabError> {
    let log = folder.join("beside.log");
    let busy = ["busy".to_owned(), "--die-with".to_owned(), host::id().to_string()];
    let busy: Result<Vec<Child>, _> = (0..host::processors()).map(|_| Child::start(&busy, &log)).collect();
    let _busy = busy.map_err(failed("keep the processors busy"))?;
    let mut started = Vec::new();
    let mut next = Instant::now();
    while next < until {
        if let Some(command) = beside {
            started.push(Child::shell(command, &log).map_err(failed("start the command beside"))?);
        }
        next += BESIDE_PAUSE;
        sleep_until(next.min(until)).await;
    }
    Ok(())
}
