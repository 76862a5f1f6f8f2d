//! Keys from the command line and from key logs.

use esp_ah::{CipherAlgorithm, IntegrityAlgorithm, OpenKey, SequenceBits, Suite};
use ipsec_wire::isakmp::Cookie;
use std::collections::BTreeMap;
use std::fmt;

/// Everything that opens something.
#[derive(Default)]
pub struct Keys {
    /// Keys of ISAKMP ciphers, by initiator cookie.
    pub isakmp: BTreeMap<Cookie, Vec<u8>>,
    /// Diffie-Hellman secrets, by initiator cookie.
    pub shared_secrets: BTreeMap<Cookie, Vec<u8>>,
    /// The pre-shared key, for SAs whose secret is known.
    pub psk: Option<Vec<u8>>,
    /// Keys of ESP, by SPI.
    pub esp: BTreeMap<u32, OpenKey>,
}

/// Shows how many there are of each.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.isakmp.len(), self.shared_secrets.len(), self.psk.is_some(), self.esp.len());
        write!(f, "Keys{counts:?}")
    }
}

/// What is wrong with a key that was given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not the form that is wanted.
    #[error("{given}: expected {wanted}")]
    Form {
        /// What was given, up to its first secret.
        given: String,
        /// What it should be like.
        wanted: &'static str,
    },
    /// An algorithm that is not known, or not with a key of this length.
    #[error("{0}: no such algorithm, or not with such a key")]
    Algorithm(String),
}

impl Keys {
    /// Adds `COOKIE:KEY`, in hexadecimal: the initiator cookie and the key of the ISAKMP cipher.
    ///
    /// # Errors
    /// A text that is not that.
    pub fn add_isakmp(&mut self, text: &str) -> Result<(), KeyProblem> {
        let (cookie, key) = cookie_and_octets(text, "COOKIE:KEY in hexadecimal")?;
        self.isakmp.insert(cookie, key);
        Ok(())
    }

    /// Adds `COOKIE:SECRET`, in hexadecimal: the initiator cookie and g^xy.
    ///
    /// # Errors
    /// A text that is not that.
    pub fn add_shared_secret(&mut self, text: &str) -> Result<(), KeyProblem> {
        let (cookie, secret) = cookie_and_octets(text, "COOKIE:SECRET in hexadecimal")?;
        self.shared_secrets.insert(cookie, secret);
        Ok(())
    }

    /// Adds `SPI:CIPHER:KEY[:INTEGRITY:KEY]`; a combined cipher's key ends with its salt.
    ///
    /// # Errors
    /// A text that is not that, or algorithms that do not go together.
    pub fn add_esp(&mut self, text: &str) -> Result<(), KeyProblem> {
        const WANTED: &str = "SPI:CIPHER:KEY[:INTEGRITY:KEY] in hexadecimal";
        let form = || KeyProblem::Form { given: text.split(':').next().unwrap_or_default().into(), wanted: WANTED };
        let parts: Vec<&str> = text.split(':').collect();
        let (spi, cipher, key, integrity, integrity_key) = match parts[..] {
            [spi, cipher, key] => (spi, cipher, key, "none", ""),
            [spi, cipher, key, integrity, integrity_key] => (spi, cipher, key, integrity, integrity_key),
            _ => return Err(form()),
        };
        let spi = u32::from_str_radix(unprefixed(spi), 16).map_err(|_| form())?;
        let key = octets(key).ok_or_else(form)?;
        let integrity_key = octets(integrity_key).ok_or_else(form)?;
        self.esp.insert(spi, open_key(cipher, &key, integrity, &integrity_key)?);
        Ok(())
    }

    /// Adds the lines of Wireshark's `ikev1_decryption_table`: `COOKIE,KEY`.
    ///
    /// # Errors
    /// A line that is not that.
    pub fn add_isakmp_table(&mut self, table: &str) -> Result<(), KeyProblem> {
        let lines = table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.into_iter().try_for_each(|line| self.add_isakmp(&line.replace('"', "").replace(',', ":")))
    }

    /// Adds the lines of Wireshark's `esp_sa`: family, addresses, SPI, algorithms and keys in quotes.
    ///
    /// # Errors
    /// A line that is not that.
    pub fn add_esp_table(&mut self, table: &str) -> Result<(), KeyProblem> {
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
            let [_, _, _, spi, cipher, key, integrity, integrity_key, ..] = fields[..] else {
                return Err(KeyProblem::Form { given: "a line of esp_sa".into(), wanted: "eight fields in quotes" });
            };
            let word = |name: &str| name.split(" [").next().unwrap_or_default().to_ascii_lowercase();
            self.add_esp(&format!("{spi}:{}:{key}:{}:{integrity_key}", word(cipher), word(integrity)))?;
        }
        Ok(())
    }
}

fn cookie_and_octets(text: &str, wanted: &'static str) -> Result<(Cookie, Vec<u8>), KeyProblem> {
    let form = || KeyProblem::Form { given: text.split(':').next().unwrap_or_default().into(), wanted };
    let (cookie, key) = text.split_once(':').ok_or_else(form)?;
    let cookie = octets(cookie).and_then(|cookie| cookie.try_into().ok()).ok_or_else(form)?;
    Ok((Cookie(cookie), octets(key).ok_or_else(form)?))
}

fn unprefixed(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

fn octets(text: &str) -> Option<Vec<u8>> {
    hex::decode(unprefixed(text)).ok()
}

/// Finds the algorithms by their names, ours or Wireshark's in lower case, and the length of the key.
fn open_key(cipher: &str, key: &[u8], integrity: &str, integrity_key: &[u8]) -> Result<OpenKey, KeyProblem> {
    let unknown = |name: &str| KeyProblem::Algorithm(name.into());
    let names: &[&str] = match cipher {
        "null" => &["null"],
        "des" | "des-cbc" => &["des"],
        "3des" | "tripledes-cbc" => &["3des"],
        "aes" | "aes-cbc" => &["aes"],
        "aes-ctr" => &["aes-ctr"],
        "aes-gmac" => &["aes-gmac"],
        "chacha20-poly1305" | "chacha20 with poly1305" => &["chacha20"],
        name if name.starts_with("aes-gcm") => &["aes-gcm"],
        name if name.starts_with("aes-ccm") => &["aes-ccm"],
        other => return Err(unknown(other)),
    };
    let fits = |candidate: &CipherAlgorithm| {
        let lengths = candidate.lengths();
        lengths.key + lengths.salt == key.len()
            && (lengths.icv == 0 || lengths.icv == icv_of(cipher))
            && family(*candidate) == names[0]
    };
    let algorithm = CipherAlgorithm::all().find(fits).ok_or_else(|| unknown(cipher))?;
    let integrity_algorithm = match integrity {
        "none" | "null" | "" => IntegrityAlgorithm::None,
        "md5" | "hmac-md5-96" => IntegrityAlgorithm::HmacMd5_96,
        "sha1" | "hmac-sha-1-96" => IntegrityAlgorithm::HmacSha1_96,
        "sha256" | "hmac-sha-256-128" => IntegrityAlgorithm::HmacSha256_128,
        "sha256-96" | "hmac-sha-256-96" => IntegrityAlgorithm::HmacSha256_96,
        "sha384" | "hmac-sha-384-192" => IntegrityAlgorithm::HmacSha384_192,
        "sha512" | "hmac-sha-512-256" => IntegrityAlgorithm::HmacSha512_256,
        "aes-xcbc" | "mac-aes-xcbc" => IntegrityAlgorithm::AesXcbc96,
        other => return Err(unknown(other)),
    };
    let suite = Suite::new(algorithm, integrity_algorithm)
        .or_else(|_| Suite::dangerously_unauthenticated(algorithm))
        .map_err(|_| unknown(integrity))?;
    OpenKey::new(suite, SequenceBits::Bits32, &[key, integrity_key].concat()).map_err(|_| unknown(integrity))
}

/// The ICV of a combined cipher: 16 octets unless the name says 8 or 12.
fn icv_of(cipher: &str) -> usize {
    if cipher.contains("-8") || cipher.contains(" 8 ") {
        8
    } else if cipher.contains("-12") || cipher.contains(" 12 ") {
        12
    } else {
        16
    }
}

fn family(cipher: CipherAlgorithm) -> &'static str {
    match cipher {
        CipherAlgorithm::Null => "null",
        CipherAlgorithm::DesCbc => "des",
        CipherAlgorithm::TripleDesCbc => "3des",
        CipherAlgorithm::AesCbc(_) => "aes",
        CipherAlgorithm::AesCtr(_) => "aes-ctr",
        CipherAlgorithm::AesGcm(..) => "aes-gcm",
        CipherAlgorithm::AesCcm(..) => "aes-ccm",
        CipherAlgorithm::AesGmac(_) => "aes-gmac",
        CipherAlgorithm::ChaCha20Poly1305 => "chacha20",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_in_our_form_and_in_wiresharks() {
        let mut keys = Keys::default();
        keys.add_isakmp("0011223344556677:aabb").unwrap();
        keys.add_isakmp_table("8811223344556677,\"ccdd\"\n\n# a remark\n").unwrap();
        assert_eq!(keys.isakmp.len(), 2);
        let aes = "00".repeat(16);
        let sha1 = "11".repeat(20);
        keys.add_esp(&format!("0xdeadbeef:aes:{aes}:sha1:{sha1}")).unwrap();
        keys.add_esp(&format!("1:aes-gcm:{}", "22".repeat(20))).unwrap();
        keys.add_esp_table(&format!(
            "\"IPv4\",\"192.0.2.1\",\"192.0.2.2\",\"0x00000002\",\"AES-CBC [RFC3602]\",\"0x{aes}\",\"HMAC-SHA-1-96 [RFC2404]\",\"0x{sha1}\""
        ))
        .unwrap();
        assert_eq!(keys.esp.keys().copied().collect::<Vec<_>>(), [1, 2, 0xdead_beef]);
    }

    #[test]
    fn a_bad_key_is_refused_without_being_printed() {
        let mut keys = Keys::default();
        let problem = keys.add_isakmp("0011:secret").unwrap_err().to_string();
        assert_eq!(problem, "0011: expected COOKIE:KEY in hexadecimal");
        let problem = keys.add_esp("1:rot13:00112233").unwrap_err().to_string();
        assert_eq!(problem, "rot13: no such algorithm, or not with such a key");
        assert!(keys.add_esp(&format!("1:aes:{}", "00".repeat(15))).is_err());
    }
}
