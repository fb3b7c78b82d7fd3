//! The minds, tested from outside: by scripts that tell each rule's story, and by a whole protocol at random.

mod protocol;
mod script;
