use super::Lifetime;
use super::attributes::KeyBits;
use core::fmt;
use ipsec_wire::registry::{
    AuthAlgorithm, AuthMethod, EncapsulationMode, EspTransform, Group, GroupType, IkeCipher, IkeHash,
};
use thiserror::Error;

/// One term of a negotiation with its value, `None` where nothing was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Term {
    /// Phase 1 cipher and key length in bits.
    Encryption(Option<IkeCipher>, Option<u16>),
    /// Phase 1 hash.
    Hash(Option<IkeHash>),
    /// Phase 1 authentication method.
    Authentication(Option<AuthMethod>),
    /// Phase 1 group.
    Group(Option<Group>),
    /// Phase 1 form of the group.
    GroupType(Option<GroupType>),
    /// Lifetime, in either phase.
    Lifetime(Lifetime),
    /// ESP cipher and key length in bits.
    Esp(EspTransform, Option<u16>),
    /// The transform number of a proposal of AH or IPComp.
    Transform(u8),
    /// Integrity algorithm of ESP or AH.
    Authenticator(Option<AuthAlgorithm>),
    /// Encapsulation mode.
    Encapsulation(Option<EncapsulationMode>),
    /// Group for perfect forward secrecy.
    PfsGroup(Option<Group>),
    /// Whether sequence numbers have 64 bits.
    ExtendedSequence(bool),
}

impl Term {
    /// Returns what the term is called.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Encryption(..) => "encryption",
            Self::Hash(_) => "hash",
            Self::Authentication(_) => "auth",
            Self::Group(_) => "group",
            Self::GroupType(_) => "group type",
            Self::Lifetime(_) => "lifetime",
            Self::Esp(..) | Self::Transform(_) => "transform",
            Self::Authenticator(_) => "authenticator",
            Self::Encapsulation(_) => "encapsulation",
            Self::PfsGroup(_) => "PFS group",
            Self::ExtendedSequence(_) => "extended sequence numbers",
        }
    }
}

/// The value alone: `3DES-CBC`, `AES-CBC 256`, `none`, or the number if it has no name.
impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encryption(cipher, bits) => {
                named(f, cipher.map(|number| (number.name(), number.0)))?;
                write!(f, "{}", KeyBits(*bits))
            }
            Self::Hash(hash) => named(f, hash.map(|number| (number.name(), number.0))),
            Self::Authentication(method) => named(f, method.map(|number| (number.name(), number.0))),
            Self::Group(group) | Self::PfsGroup(group) => match group {
                None => f.write_str("none"),
                // No registry has it: old routers call the 512-bit group so among themselves.
                Some(Group(0)) => f.write_str("0 (MODP-512)"),
                Some(group) => match group.name() {
                    Some(name) => write!(f, "{} ({name})", group.0),
                    None => write!(f, "{}", group.0),
                },
            },
            Self::GroupType(form) => named(f, form.map(|number| (number.name(), number.0))),
            Self::Lifetime(lifetime) => write!(f, "{lifetime}"),
            Self::Esp(transform, bits) => {
                named(f, Some((transform.name(), u16::from(transform.0))))?;
                write!(f, "{}", KeyBits(*bits))
            }
            Self::Transform(number) => write!(f, "{number}"),
            Self::Authenticator(integrity) => named(f, integrity.map(|number| (number.name(), number.0))),
            Self::Encapsulation(mode) => named(f, mode.map(|number| (number.name(), number.0))),
            Self::ExtendedSequence(on) => f.write_str(if *on { "on" } else { "off" }),
        }
    }
}

fn named(f: &mut fmt::Formatter<'_>, number: Option<(Option<&str>, u16)>) -> fmt::Result {
    match number {
        None => f.write_str("none"),
        Some((Some(name), _)) => f.write_str(name),
        Some((None, number)) => write!(f, "number {number}"),
    }
}

/// A term that was offered with one value and wanted with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{} {offered}, wanted {wanted}", .offered.label())]
pub struct Mismatch {
    /// What came.
    pub offered: Term,
    /// What our policy says.
    pub wanted: Term,
}

impl Mismatch {
    pub(crate) fn unless(equal: bool, offered: Term, wanted: Term) -> Result<(), Self> {
        if equal { Ok(()) } else { Err(Self { offered, wanted }) }
    }
}
