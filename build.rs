//! Turns `proto/` into Rust before the crate is compiled: protobuf services and messages, without a `protoc`.
#![allow(clippy::disallowed_methods, reason = "a build script has no seams: it runs on the machine that compiles")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    protobuf()
}

/// Compiles every `proto/*.proto`. Byte fields become `Bytes`, so that a decoded frame is sliced and not copied.
fn protobuf() -> Result<(), Box<dyn Error>> {
    let files = files_with_extension(Path::new("proto"), "proto")?;
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(&files, ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}

/// The files of a folder with this extension, in the order of their names.
fn files_with_extension(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
