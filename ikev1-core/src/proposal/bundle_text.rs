use super::{AesKey, Bundle, Compression, EspCipher, Icv, Integrity, Protection};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use thiserror::Error;

/// The longest text, as routers have it.
pub const MAX_BUNDLE_TEXT: usize = 100;
/// The most alternatives between commas, as routers have it.
pub const MAX_BUNDLE_CANDIDATES: usize = 10;
/// The most suites that a text may stand for once its choices are multiplied out.
const MAX_SUITES: usize = 255;

/// Why a text of the bundle language was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleTextError {
    /// It is longer than [`MAX_BUNDLE_TEXT`].
    #[error("{0} octets, at most {MAX_BUNDLE_TEXT} are read")]
    TooLong(usize),
    /// There are more alternatives than [`MAX_BUNDLE_CANDIDATES`], or more suites than can be numbered.
    #[error("too many alternatives: at most {MAX_BUNDLE_CANDIDATES} between commas")]
    TooMany,
    /// A word names no protection.
    #[error("`{0}` is no protection: write esp-CIPHER-HASH, esp-CIPHER, ah-HASH, ipcomp-deflate or ipcomp-lzs")]
    Word(String),
    /// A choice is between different protocols.
    #[error("`{0}`: a choice by | is between algorithms of one protocol")]
    Protocols(String),
    /// The parts cannot stand together.
    #[error("`{0}`: its parts cannot stand together")]
    Unlawful(String),
}

impl Bundle {
    /// Reads a text of the bundle language: alternatives, best first.
    ///
    /// ```text
    /// alternatives = bundle *( "," bundle )           ordered, best first
    /// bundle       = choice *( "+" choice )           ANDed, each of another protocol
    /// choice       = protection *( "|" protection )   algorithms of one protocol, best first
    /// protection   = esp-CIPHER[-HASH] | ah-HASH | ipcomp-deflate | ipcomp-lzs
    /// ```
    ///
    /// `and`, `or` may be written for `+`, `|`. So `ah-sha1 + esp-aes128, esp-3des-md5` is AH with ESP,
    /// or else ESP alone.
    ///
    /// # Errors
    /// The word or the part that is wrong, or a text beyond the limits.
    pub fn parse_alternatives(text: &str) -> Result<Vec<Self>, BundleTextError> {
        if text.len() > MAX_BUNDLE_TEXT {
            return Err(BundleTextError::TooLong(text.len()));
        }
        let mut alternatives = Vec::new();
        for (at, candidate) in text.split(',').enumerate() {
            if at >= MAX_BUNDLE_CANDIDATES {
                return Err(BundleTextError::TooMany);
            }
            alternatives.extend(candidate_of(candidate)?);
            if alternatives.len() > MAX_SUITES {
                return Err(BundleTextError::TooMany);
            }
        }
        Ok(alternatives)
    }
}

/// Reads what stands between two commas: every bundle that its choices leave open.
fn candidate_of(text: &str) -> Result<Vec<Bundle>, BundleTextError> {
    let mut combinations: Vec<Vec<Protection>> = vec![Vec::new()];
    for choice in joined(text, '+', "and") {
        let choices = joined(&choice, '|', "or").iter().map(|word| protection(word)).collect::<Result<Vec<_>, _>>()?;
        let protocol = choices.first().map(Protection::protocol);
        if choices.iter().any(|other| Some(other.protocol()) != protocol) {
            return Err(BundleTextError::Protocols(choice.trim().to_string()));
        }
        let extended = combinations.iter().flat_map(|before| {
            choices.iter().map(move |next| before.iter().chain([next]).copied().collect::<Vec<Protection>>())
        });
        combinations = extended.collect();
        if combinations.len() > MAX_SUITES {
            return Err(BundleTextError::TooMany);
        }
    }
    let bundles: Vec<Bundle> = combinations.into_iter().map(Bundle::new).collect();
    match bundles.iter().all(Bundle::is_lawful) {
        true => Ok(bundles),
        false => Err(BundleTextError::Unlawful(text.trim().to_string())),
    }
}

/// Splits at a sign, or at the word that may stand for it.
fn joined(text: &str, sign: char, word: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for token in text.split_whitespace() {
        if token.eq_ignore_ascii_case(word) {
            parts.push(String::new());
            continue;
        }
        for (at, piece) in token.split(sign).enumerate() {
            if at > 0 {
                parts.push(String::new());
            }
            if let Some(last) = parts.last_mut() {
                if !last.is_empty() && !piece.is_empty() {
                    last.push(' ');
                }
                last.push_str(piece);
            }
        }
    }
    parts
}

fn protection(text: &str) -> Result<Protection, BundleTextError> {
    let unknown = || BundleTextError::Word(text.to_string());
    let lower = text.to_ascii_lowercase();
    let (protocol, rest) = lower.split_once('-').ok_or_else(unknown)?;
    let read = match protocol {
        "esp" => esp(rest),
        "ah" => ah(rest).map(|integrity| Protection::Ah { integrity }),
        "ipcomp" => named(COMPRESSIONS, rest).map(|compression| Protection::Ipcomp { compression }),
        _ => None,
    };
    read.ok_or_else(unknown)
}

fn esp(text: &str) -> Option<Protection> {
    let (cipher, hash) = text.split_once('-').map_or((text, None), |(cipher, hash)| (cipher, Some(hash)));
    let integrity = match hash {
        None | Some("null") => None,
        Some(hash) => Some(named(HASHES, hash)?),
    };
    Some(Protection::Esp { cipher: cipher_of(cipher)?, integrity })
}

/// A cipher by its name; AES is named `aesBITS`, then the mode, then the octets of the check value.
fn cipher_of(text: &str) -> Option<EspCipher> {
    if let Some(cipher) = named(CIPHERS, text) {
        return Some(cipher);
    }
    let (key, mode) = KEYS.iter().find_map(|(name, key)| Some((*key, text.strip_prefix(name)?)))?;
    match mode {
        "" | "cbc" => return Some(EspCipher::AesCbc(key)),
        "ctr" => return Some(EspCipher::AesCtr(key)),
        "gmac" => return Some(EspCipher::NullAesGmac(key)),
        _ => {}
    }
    let icv = |octets: &str| named(ICVS, octets);
    let gcm = mode.strip_prefix("gcm").and_then(icv).map(|icv| EspCipher::AesGcm(key, icv));
    gcm.or_else(|| mode.strip_prefix("ccm").and_then(icv).map(|icv| EspCipher::AesCcm(key, icv)))
}

fn ah(text: &str) -> Option<Integrity> {
    let gmac = || {
        let (key, mode) = KEYS.iter().find_map(|(name, key)| Some((*key, text.strip_prefix(name)?)))?;
        (mode == "gmac").then_some(Integrity::AesGmac(key))
    };
    named(HASHES, text).or_else(gmac)
}

fn named<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

const CIPHERS: &[(&str, EspCipher)] =
    &[("null", EspCipher::Null), ("des", EspCipher::Des), ("3des", EspCipher::TripleDes)];
const KEYS: &[(&str, AesKey)] =
    &[("aes128", AesKey::Bits128), ("aes192", AesKey::Bits192), ("aes256", AesKey::Bits256)];
/// Without a number it is the whole value.
const ICVS: &[(&str, Icv)] = &[("", Icv::Octets16), ("16", Icv::Octets16), ("12", Icv::Octets12), ("8", Icv::Octets8)];
const HASHES: &[(&str, Integrity)] = &[
    ("md5", Integrity::HmacMd5),
    ("sha1", Integrity::HmacSha1),
    ("sha256", Integrity::HmacSha2_256),
    ("sha256_96", Integrity::HmacSha2_256Cut96),
    ("sha384", Integrity::HmacSha2_384),
    ("sha512", Integrity::HmacSha2_512),
    ("aesxcbc", Integrity::AesXcbc),
];
const COMPRESSIONS: &[(&str, Compression)] = &[("deflate", Compression::Deflate), ("lzs", Compression::Lzs)];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(text: &str) -> Vec<String> {
        Bundle::parse_alternatives(text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn comma_separates_alternatives_and_plus_ands_protocols() {
        let expected = ["AH HMAC-SHA + ESP_AES-CBC 128, HMAC-SHA", "ESP_3DES, HMAC-MD5"];
        assert_eq!(printed("ah-sha1 + esp-aes128-sha1 , esp-3des-md5"), expected);
        assert_eq!(printed("ah-sha1 AND esp-aes128-sha1,esp-3des-md5"), expected);
    }

    #[test]
    fn or_binds_tighter_than_and() {
        let expected = [
            "ESP_AES-CBC 256, HMAC-SHA + AH HMAC-SHA2-256",
            "ESP_AES-CBC 256, HMAC-SHA + AH HMAC-SHA",
            "ESP_AES-CBC 128, HMAC-SHA + AH HMAC-SHA2-256",
            "ESP_AES-CBC 128, HMAC-SHA + AH HMAC-SHA",
        ];
        assert_eq!(printed("esp-aes256-sha1 | esp-aes128-sha1 + ah-sha256|ah-sha1"), expected);
        assert_eq!(printed("esp-aes256-sha1 or esp-aes128-sha1 and ah-sha256 or ah-sha1"), expected);
    }

    #[test]
    fn every_protection_has_its_word() {
        let count = |text: &str| Bundle::parse_alternatives(text).map(|bundles| bundles.len());
        for word in [
            "esp-aes128",
            "esp-null-sha1",
            "esp-des-md5",
            "esp-aes192ctr-sha256",
            "esp-aes256gcm16",
            "esp-aes128gcm8",
            "esp-aes128ccm12",
            "esp-aes256gmac",
            "esp-3des-aesxcbc",
            "esp-aes256-sha256_96",
            "ah-md5",
            "ah-aes128gmac",
            "ah-sha512",
            "ipcomp-deflate + esp-aes128-sha1",
            "ipcomp-lzs + esp-aes128-sha1 + ah-sha1",
        ] {
            assert_eq!(count(word), Ok(1), "{word}");
        }
    }

    #[test]
    fn what_is_no_protection_is_named_in_the_refusal() {
        for (text, word) in
            [("esp-aes-sha1", "esp-aes-sha1"), ("", ""), ("esp-3des-md5, ", ""), ("ah-sha1 esp-des", "ah-sha1 esp-des")]
        {
            assert_eq!(Bundle::parse_alternatives(text), Err(BundleTextError::Word(word.into())), "{text}");
        }
        let across = Bundle::parse_alternatives("esp-des-md5 | ah-md5");
        assert_eq!(across, Err(BundleTextError::Protocols("esp-des-md5 | ah-md5".into())));
        for unlawful in ["ah-md5 + ah-sha1", "ipcomp-lzs", "esp-null", "esp-aes128gcm-sha1"] {
            assert_eq!(Bundle::parse_alternatives(unlawful), Err(BundleTextError::Unlawful(unlawful.into())));
        }
    }

    #[test]
    fn texts_beyond_the_limits_are_refused() {
        let long = "x".repeat(101);
        assert_eq!(Bundle::parse_alternatives(&long), Err(BundleTextError::TooLong(101)));
        let many = ["ah-md5"; 11].join(",");
        assert_eq!(Bundle::parse_alternatives(&many), Err(BundleTextError::TooMany));
        assert_eq!(Bundle::parse_alternatives(&["ah-md5"; 10].join(",")).map(|bundles| bundles.len()), Ok(10));
    }

    proptest! {
        #[test]
        fn reading_any_text_never_panics(text in "[a-z0-9+|, -]{0,110}") {
            let _ = Bundle::parse_alternatives(&text);
        }
    }
}
