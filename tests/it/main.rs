//! Tests from outside: real nodes, real sockets, one binary for all of them.
