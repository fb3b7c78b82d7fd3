//! Addresses and listeners as settings write them.

use std::fmt;

use serde::{Serialize, Serializer};

pub const KAFKA_PORT: u16 = 9092;
pub const PEER_PORT: u16 = 9093;
pub const ADMIN_PORT: u16 = 9094;

/// A host and a port; an empty host is every address of the machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

/// A place where Kafka clients connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    pub name: String,
    pub protocol: Protocol,
    pub bind: Address,
    /// What clients are told, where that was set.
    pub advertised: Option<Address>,
}

impl Address {
    /// Reads `HOST:PORT`, `:PORT` or `HOST`; an IPv6 host stands in brackets.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
                (host, port)
            }
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                Some(_) => return None,
                None => (text, None),
            },
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._%:".contains(&byte);
        let port = port.map_or(Some(default_port), |port| port.parse().ok())?;
        (!text.is_empty() && host.bytes().all(is_host)).then(|| Self { host: host.to_owned(), port })
    }

    /// Whether it means every address of the machine, and so nothing that others can dial.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }

    /// Whether a machine cannot listen at both; port 0 takes any free port.
    pub fn clashes_with(&self, other: &Self) -> bool {
        let same_host = self.is_wildcard() || other.is_wildcard() || self.host == other.host;
        self.port == other.port && self.port != 0 && same_host
    }
}

impl Protocol {
    pub(super) const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    pub fn uses_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    pub fn uses_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// Reads one element of `listeners` or `advertised.listeners`: `NAME://HOST:PORT`, or `HOST:PORT` under a name that is
/// understood. Names are compared in capitals.
pub(super) fn named_address(text: &str, understood: &str) -> Option<(String, Address)> {
    let (name, address) = text.split_once("://").unwrap_or((understood, text));
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let address = Address::parse(address, KAFKA_PORT)?;
    is_name.then(|| (name.to_ascii_uppercase(), address))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{} ({})", self.name, self.bind, self.protocol)?;
        match &self.advertised {
            Some(address) => write!(f, ", advertised as {address}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_a_port_or_both() {
        let read =
            |text| Address::parse(text, PEER_PORT).map_or_else(|| "refused".to_owned(), |address| address.to_string());
        let addresses = [
            ("node-1:9092", "node-1:9092"),
            ("node-1", "node-1:9093"),
            (":9092", ":9092"),
            ("10.0.0.7:0", "10.0.0.7:0"),
            ("[::1]:9092", "[::1]:9092"),
            ("[fe80::1%eth0]", "[fe80::1%eth0]:9093"),
            ("", "refused"),
            ("::1", "refused"),
            ("host:", "refused"),
            ("host:65536", "refused"),
            ("host:-1", "refused"),
            ("two words:1", "refused"),
            ("http://host:1", "refused"),
            ("[::1:9092", "refused"),
            ("[::1]9092", "refused"),
        ];
        for (text, address) in addresses {
            assert_eq!(read(text), address, "{text:?}");
        }
    }
}
