//! The simulator: a whole cluster in one thread, from one seed, in a process of its own.

fn main() {}
