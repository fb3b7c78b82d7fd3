//! Tests from outside: real nodes, real sockets, one binary for all of them.

mod allocations;
mod wire_filler;
mod wire_frames;
mod wire_language;
