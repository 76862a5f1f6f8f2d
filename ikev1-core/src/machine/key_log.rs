use crate::action::{Action, Direction, InstallSa, KeyLogLine};
use crate::ids::Cookies;
use crate::keys::IsakmpKeys;
use crate::machine::Endpoint;
use crate::proposal::{EspCipher, Integrity, Protection};
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

impl Endpoint {
    /// Writes the line of `ikev1_decryption_table`: initiator cookie and key of the cipher.
    pub(super) fn log_isakmp_key(&mut self, cookies: Cookies, keys: &IsakmpKeys) {
        if self.plan.key_log {
            let line = format!("{},{}", cookies.initiator, hex(keys.cipher().expose()));
            self.out.action(Action::KeyLog(KeyLogLine::Isakmp(line)));
        }
    }

    /// Writes the line of `esp_sa`: family, source, destination, SPI, algorithms, keys.
    pub(super) fn log_esp_keys(&mut self, install: &InstallSa) {
        if !self.plan.key_log {
            return;
        }
        let family = if install.local.is_ipv4() { "IPv4" } else { "IPv6" };
        let (source, destination) = match install.direction {
            Direction::Inbound => (install.remote, install.local),
            Direction::Outbound => (install.local, install.remote),
        };
        for sa in &install.sas {
            let Protection::Esp { cipher, integrity } = sa.suite else { continue };
            let line = format!(
                "\"{family}\",\"{source}\",\"{destination}\",\"0x{:08x}\",\"{}\",\"{}\",\"{}\",\"{}\"",
                sa.spi,
                cipher_name(cipher),
                key(sa.encryption_key.expose()),
                integrity_name(integrity),
                key(sa.integrity_key.expose()),
            );
            self.out.action(Action::KeyLog(KeyLogLine::Esp(line)));
        }
    }
}

fn key(octets: &[u8]) -> String {
    if octets.is_empty() { String::new() } else { format!("0x{}", hex(octets)) }
}

fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len().saturating_mul(2));
    for octet in octets {
        let _ = write!(text, "{octet:02x}");
    }
    text
}

/// The names of Wireshark's table.
const fn cipher_name(cipher: EspCipher) -> &'static str {
    match cipher {
        EspCipher::Null | EspCipher::NullAesGmac(_) => "NULL",
        EspCipher::Des => "DES-CBC [RFC2405]",
        EspCipher::TripleDes => "TripleDES-CBC [RFC2451]",
        EspCipher::AesCbc(_) => "AES-CBC [RFC3602]",
        EspCipher::AesCtr(_) => "AES-CTR [RFC3686]",
        EspCipher::AesCcm(..) => "AES-CCM [RFC4309]",
        EspCipher::AesGcm(..) => "AES-GCM [RFC4106]",
    }
}

/// The names of Wireshark's table.
const fn integrity_name(integrity: Option<Integrity>) -> &'static str {
    match integrity {
        None => "NULL",
        Some(Integrity::HmacMd5) => "HMAC-MD5-96 [RFC2403]",
        Some(Integrity::HmacSha1) => "HMAC-SHA-1-96 [RFC2404]",
        Some(Integrity::HmacSha2_256) => "HMAC-SHA-256-128 [RFC4868]",
        Some(Integrity::HmacSha2_256Cut96) => "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]",
        Some(Integrity::HmacSha2_384) => "HMAC-SHA-384-192 [RFC4868]",
        Some(Integrity::HmacSha2_512) => "HMAC-SHA-512-256 [RFC4868]",
        Some(Integrity::AesXcbc) => "ANY 96 bit authentication [no checking]",
        Some(Integrity::AesGmac(_)) => "ANY 128 bit authentication [no checking]",
    }
}
