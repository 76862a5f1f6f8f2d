//! Pairs of bundles with manual keys: `[[manual]]` in the file.

use super::file::FileError;
use super::outer::Outer;
use super::udp_tunnel::UdpTunnel;
use super::words::{Cipher, EspProposal, Hash, Prefix, WordError};
use core::net::IpAddr;
use core::str::FromStr;
use drive::SecretBytes;
use esp_ah::suite::AesKey;
use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, Suite};
use gateway::ManualSa;
use ikev1_core::proposal::Mode;
use serde::{Deserialize, Deserializer};

/// A pair of bundles with keys that people agreed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manual {
    /// Its name.
    pub name: String,
    /// Whether only this machine's own packets are carried, without a tunnel.
    #[serde(default)]
    pub transport: bool,
    /// Our end.
    pub local: IpAddr,
    /// The peer's end.
    pub remote: IpAddr,
    /// The network behind us; absent in transport mode.
    pub local_net: Option<Prefix>,
    /// The network behind the peer; absent in transport mode.
    pub remote_net: Option<Prefix>,
    /// Whether broken and weak algorithms are let in: DES, MD5.
    #[serde(default)]
    pub dangerously_allow_weak: bool,
    /// How the header around the tunnel is made.
    #[serde(default)]
    pub outer: Outer,
    /// ESP in UDP as before NAT traversal; off if absent.
    pub udp_tunnel: Option<UdpTunnel>,
    /// What a packet sent goes through, first to last.
    pub send: Vec<Association>,
    /// What a packet received went through at the peer, first to last.
    pub receive: Vec<Association>,
}

/// One association, written `esp SPI CIPHER-HASH HEXKEYS`, `ah SPI HASH HEXKEY` or `ipcomp CPI`; numbers in hex
/// after `0x`. The keys of ESP are that of the cipher, then that of the hash.
#[derive(Debug)]
pub struct Association(ManualSa);

impl FromStr for Association {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let refused = || WordError::Association;
        let words: Vec<&str> = text.split_whitespace().collect();
        let keys = |digits: &str| hex::decode(digits).map(SecretBytes::new).map_err(|_| refused());
        let association = match words.as_slice() {
            ["ipcomp", cpi] => ManualSa::Ipcomp { cpi: u16::try_from(number(cpi)?).map_err(|_| refused())? },
            ["esp", spi, suite, digits] => {
                let EspProposal { cipher, hash, .. } = suite.parse()?;
                let suite = Suite::new(cipher_of(cipher), integrity(hash)).map_err(|_| refused())?;
                ManualSa::Esp { spi: number(spi)?, suite, keymat: keys(digits)? }
            }
            ["ah", spi, hash, digits] => {
                let EspProposal { hash, .. } = format!("null-{hash}").parse()?;
                ManualSa::Ah { spi: number(spi)?, integrity: integrity(hash), key: keys(digits)? }
            }
            _ => return Err(refused()),
        };
        Ok(Self(association))
    }
}

impl<'de> Deserialize<'de> for Association {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn number(text: &str) -> Result<u32, WordError> {
    let digits = text.strip_prefix("0x").ok_or(WordError::Association)?;
    u32::from_str_radix(digits, 16).map_err(|_| WordError::Association)
}

const fn cipher_of(cipher: Cipher) -> CipherAlgorithm {
    match cipher {
        Cipher::Aes128 => CipherAlgorithm::AesCbc(AesKey::Bits128),
        Cipher::Aes192 => CipherAlgorithm::AesCbc(AesKey::Bits192),
        Cipher::Aes256 => CipherAlgorithm::AesCbc(AesKey::Bits256),
        Cipher::TripleDes => CipherAlgorithm::TripleDesCbc,
        Cipher::Des => CipherAlgorithm::DesCbc,
        Cipher::Null => CipherAlgorithm::Null,
    }
}

const fn integrity(hash: Hash) -> IntegrityAlgorithm {
    match hash {
        Hash::Md5 => IntegrityAlgorithm::HmacMd5_96,
        Hash::Sha1 => IntegrityAlgorithm::HmacSha1_96,
        Hash::Sha256 => IntegrityAlgorithm::HmacSha256_128,
        Hash::Sha384 => IntegrityAlgorithm::HmacSha384_192,
        Hash::Sha512 => IntegrityAlgorithm::HmacSha512_256,
    }
}

impl Manual {
    /// Returns what the engine is given.
    ///
    /// # Errors
    /// Networks that do not fit the mode.
    pub fn plan(&self, field: &str) -> Result<gateway::Manual, FileError> {
        let mode = if self.transport { Mode::Transport } else { Mode::Tunnel };
        let outer = self.outer.plan(&format!("{field}.outer"))?;
        let mut plan = gateway::Manual::new(&self.name, mode, self.local, self.remote).outer(outer);
        if self.dangerously_allow_weak {
            plan = plan.dangerously_allow_weak_algorithms();
        }
        match (self.local_net, self.remote_net, self.transport) {
            (Some(local), Some(remote), false) => {
                let local = super::plan::traffic(local, &format!("{field}.local_net"))?;
                plan = plan.traffic(local, super::plan::traffic(remote, &format!("{field}.remote_net"))?);
            }
            (None, None, true) => {}
            _ => return Err(FileError::refused(field, "networks belong to a tunnel, and a tunnel needs both")),
        }
        let plan = self.send.iter().fold(plan, |plan, step| plan.sends(step.copied()));
        Ok(self.receive.iter().fold(plan, |plan, step| plan.receives(step.copied())))
    }
}

impl Association {
    fn copied(&self) -> ManualSa {
        let copy = |secret: &SecretBytes| SecretBytes::new(secret.expose().to_vec());
        if let ManualSa::Esp { spi, suite, keymat } = &self.0 {
            return ManualSa::Esp { spi: *spi, suite: *suite, keymat: copy(keymat) };
        }
        if let ManualSa::Ah { spi, integrity, key } = &self.0 {
            return ManualSa::Ah { spi: *spi, integrity: *integrity, key: copy(key) };
        }
        let cpi = if let ManualSa::Ipcomp { cpi } = &self.0 { *cpi } else { 0 };
        ManualSa::Ipcomp { cpi }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associations_are_read_and_others_refused() {
        for good in ["ipcomp 0x4001", "esp 0x1001 aes128-sha1 00ff", "ah 0x2001 sha256 00ff"] {
            assert!(good.parse::<Association>().is_ok(), "{good}");
        }
        for bad in ["", "esp", "esp 1001 aes128-sha1 00", "esp 0x1 aes128-sha1 0", "ipcomp 0x10000", "ah 0x1 rot13 00"]
        {
            assert!(bad.parse::<Association>().is_err(), "{bad}");
        }
    }
}
