//! Turns `proto/` into Rust before the crate is compiled: protobuf services and messages, without a `protoc`, and
//! Kafka's messages, from our own schemas.

#![allow(clippy::disallowed_methods, reason = "it reads and writes files of the build, on a real disk")]

#[path = "proto/kafka/compiler/mod.rs"]
mod compiler;

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use protox::prost::Message;
use protox::prost_reflect::prost_types::FileDescriptorSet;
use tonic_prost_build::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    protobuf()?;
    kafka_messages()
}

/// Compiles every `proto/*.proto`. Byte fields become `Bytes`, so that a decoded frame is sliced and not copied; maps
/// have an order.
fn protobuf() -> Result<(), Box<dyn Error>> {
    let files = files_with_extension(Path::new("proto"), "proto")?;
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(&files, ["proto"])?;
    write_admin_descriptors(&descriptors)?;
    with_admin_json(tonic_prost_build::configure().bytes(".").btree_map(".")).compile_fds(descriptors)?;
    Ok(())
}

/// Lets admin messages be written as JSON, with protobuf's names of fields and a word for each enum: what the command
/// line prints with `-o json`.
fn with_admin_json(builder: Builder) -> Builder {
    const NODE_STATE: &str = "#[serde(serialize_with = \"crate::rpc::words::write_node_state\")]";
    const CHANGE: &str = "#[serde(serialize_with = \"crate::rpc::words::write_change\")]";
    builder
        .type_attribute(".dohle.admin.v1", "#[derive(serde::Serialize)]")
        .type_attribute(".dohle.admin.v1.Event.what", "#[serde(rename_all = \"snake_case\")]")
        // Without the dot in front: the field itself, and not its variants too.
        .field_attribute("dohle.admin.v1.Event.what", "#[serde(flatten)]")
        .field_attribute(".dohle.admin.v1.Node.state", NODE_STATE)
        .field_attribute(".dohle.admin.v1.NodeChanged.before", NODE_STATE)
        .field_attribute(".dohle.admin.v1.NodeChanged.now", NODE_STATE)
        .field_attribute(".dohle.admin.v1.TopicChanged.change", CHANGE)
}

/// Writes what gRPC reflection tells of the admin services, comments included. What nodes say among themselves is not
/// for strangers to try.
fn write_admin_descriptors(all: &FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let file = all.file.iter().filter(|file| file.name() == "admin.proto").cloned().collect();
    let path = PathBuf::from(env::var("OUT_DIR")?).join("admin.descriptors");
    fs::write(path, FileDescriptorSet { file }.encode_to_vec())?;
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
