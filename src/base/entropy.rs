//! Randomness: the only source of it, so that a seed decides every choice a node makes.

use super::ids::Uuid;

/// Where this node's random bytes come from: the operating system, or a seed.
pub trait Entropy: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy {
    pub fn number(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A random id in the form of a version 4 UUID, as Kafka's own are; never one that Kafka would have to escape.
    pub fn uuid(&self) -> Uuid {
        loop {
            let mut bytes = [0; 16];
            self.fill(&mut bytes);
            bytes[6] = bytes[6] & 0x0f | 0x40;
            bytes[8] = bytes[8] & 0x3f | 0x80;
            let id = Uuid(bytes);
            if !id.to_string().starts_with('-') {
                return id; // a leading dash would read as an option on a command line
            }
        }
    }
}
