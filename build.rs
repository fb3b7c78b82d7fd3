//! Turns `proto/` into Rust before the crate is compiled: protobuf services and messages, without a `protoc`, and
//! Kafka's messages, from our own schemas.

#![allow(clippy::disallowed_methods, reason = "it reads and writes files of the build, on a real disk")]

#[path = "proto/kafka/compiler/mod.rs"]
mod compiler;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    protobuf()?;
    kafka_messages()
}

/// Compiles every `proto/*.proto`. Byte fields become `Bytes`, so that a decoded frame is sliced and not copied.
fn protobuf() -> Result<(), Box<dyn Error>> {
    let files = files_with_extension(Path::new("proto"), "proto")?;
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(&files, ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}

/// Compiles every `proto/kafka/*.wire`, each into a module that `src/wire/messages.rs` includes.
fn kafka_messages() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?).join("kafka");
    let mut sources = Vec::new();
    for path in files_with_extension(Path::new("proto/kafka"), "wire")? {
        sources.push(compiler::Source { text: fs::read_to_string(&path)?, path: path.display().to_string() });
    }
    fs::create_dir_all(&out)?;
    for output in compiler::write(&compiler::read(&sources)?) {
        fs::write(out.join(output.name), output.text)?;
    }
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
