//! The program: everything is in the library, so that tests and the simulator can reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    dohle::cli::main()
}
