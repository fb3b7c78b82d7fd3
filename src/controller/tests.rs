//! The controller is judged by stories (`tests/scripts/controller/*.txt`), by random walks that must keep what is
//! promised, and by what it costs.

mod placement;
mod promises;
mod script;
mod walk;
mod world;
