use super::algorithms::{Compression, EspCipher, Integrity};
use super::attributes::{AttributeError, LifetimeReader, key_fits, number, once};
use super::term::{Mismatch, Term};
use super::{Lifetime, lifetime};
use crate::crypto::DhGroup;
use alloc::vec::Vec;
use core::fmt;
use ipsec_wire::isakmp::payload::{Attribute, OfferedTransform, Transform};
use ipsec_wire::registry::{AuthAlgorithm, EncapsulationMode, EspTransform, Group, IpsecAttribute, ProtocolId};

/// What one SA does to packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protection {
    /// ESP.
    Esp {
        /// The cipher with its key length.
        cipher: EspCipher,
        /// The integrity algorithm, if any; none with a combined cipher.
        integrity: Option<Integrity>,
    },
    /// AH.
    Ah {
        /// The integrity algorithm.
        integrity: Integrity,
    },
    /// IPComp.
    Ipcomp {
        /// The compression algorithm.
        compression: Compression,
    },
}

impl Protection {
    /// Returns the protocol of the proposal.
    pub const fn protocol(&self) -> ProtocolId {
        match self {
            Self::Esp { .. } => ProtocolId::ESP,
            Self::Ah { .. } => ProtocolId::AH,
            Self::Ipcomp { .. } => ProtocolId::IPCOMP,
        }
    }

    /// Returns the transform number.
    pub const fn transform_id(&self) -> u8 {
        match self {
            Self::Esp { cipher, .. } => cipher.number().0,
            Self::Ah { integrity } => integrity.ah_number().0,
            Self::Ipcomp { compression } => compression.number().0,
        }
    }

    /// Returns where it stands among several that are applied to one outbound packet: 0 first.
    ///
    /// A packet is compressed before it is encrypted, and AH goes around ESP (RFC 3173 §2.1, RFC 2401 §4.3).
    pub const fn layer(&self) -> u8 {
        match self {
            Self::Ipcomp { .. } => 0,
            Self::Esp { .. } => 1,
            Self::Ah { .. } => 2,
        }
    }

    /// Returns the number of the protocol in the IP header: 50, 51 or 108.
    pub const fn ip_protocol(&self) -> u8 {
        match self {
            Self::Esp { .. } => 50,
            Self::Ah { .. } => 51,
            Self::Ipcomp { .. } => 108,
        }
    }

    /// Returns whether its packets are numbered.
    pub const fn has_sequence(&self) -> bool {
        !matches!(self, Self::Ipcomp { .. })
    }

    /// Returns the octets of KEYMAT that the cipher takes, and those that the integrity algorithm takes.
    pub fn keymat_lens(&self) -> (usize, usize) {
        match self {
            Self::Esp { cipher, integrity } => (cipher.keymat_len(), integrity.map_or(0, Integrity::keymat_len)),
            Self::Ah { integrity } => (0, integrity.keymat_len()),
            Self::Ipcomp { .. } => (0, 0),
        }
    }

    /// Returns whether any part of it must be asked for by a `dangerously_` name.
    ///
    /// ESP without integrity is weak, and so is the null cipher without it.
    pub fn is_weak(&self) -> bool {
        match self {
            Self::Esp { cipher, integrity } => {
                cipher.is_weak() || integrity.map_or(!cipher.is_combined(), Integrity::is_weak)
            }
            Self::Ah { integrity } => integrity.is_weak(),
            Self::Ipcomp { .. } => false,
        }
    }

    /// Returns whether the parts may stand together at all.
    ///
    /// A combined cipher takes no integrity algorithm, GMAC is one of AH only, and ESP must do something.
    pub fn is_lawful(&self) -> bool {
        match self {
            Self::Esp { cipher, integrity: Some(integrity) } => {
                !cipher.is_combined() && !matches!(integrity, Integrity::AesGmac(_))
            }
            Self::Esp { cipher, integrity: None } => *cipher != EspCipher::Null,
            Self::Ah { .. } | Self::Ipcomp { .. } => true,
        }
    }

    /// The attribute "Authentication Algorithm" that goes with it.
    fn authenticator(&self) -> Option<AuthAlgorithm> {
        match self {
            Self::Esp { integrity, .. } => integrity.map(Integrity::number),
            Self::Ah { integrity } => Some(integrity.number()),
            Self::Ipcomp { .. } => None,
        }
    }

    fn key_length(&self) -> (Option<u16>, usize) {
        match self {
            Self::Esp { cipher, .. } => (cipher.key_length_attribute(), cipher.keymat_len()),
            Self::Ah { .. } | Self::Ipcomp { .. } => (None, 0),
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Esp { cipher, integrity: Some(integrity) } => write!(f, "{cipher}, {integrity}"),
            Self::Esp { cipher, integrity: None } => write!(f, "{cipher}"),
            Self::Ah { integrity } => write!(f, "AH {integrity}"),
            Self::Ipcomp { compression } => write!(f, "IPComp {compression}"),
        }
    }
}

/// Whether whole packets or their payloads are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Whole packets, between gateways.
    #[default]
    Tunnel,
    /// Payloads, between the ends themselves.
    Transport,
}

/// Under which numbers an encapsulation in UDP is negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UdpEncapsulation {
    /// 3 and 4 (RFC 3947 §5.1).
    Rfc3947,
    /// 61443 and 61444 (the drafts before it).
    Drafts,
}

impl UdpEncapsulation {
    /// Returns which numbering an offered mode belongs to, `None` if it is not in UDP.
    pub const fn of(mode: EncapsulationMode) -> Option<Self> {
        match mode {
            EncapsulationMode::UDP_TUNNEL | EncapsulationMode::UDP_TRANSPORT => Some(Self::Rfc3947),
            EncapsulationMode::UDP_TUNNEL_DRAFT | EncapsulationMode::UDP_TRANSPORT_DRAFT => Some(Self::Drafts),
            _ => None,
        }
    }
}

impl Mode {
    /// Returns the attribute value, in UDP or not.
    pub const fn number(self, udp: Option<UdpEncapsulation>) -> EncapsulationMode {
        match (self, udp) {
            (Self::Tunnel, None) => EncapsulationMode::TUNNEL,
            (Self::Transport, None) => EncapsulationMode::TRANSPORT,
            (Self::Tunnel, Some(UdpEncapsulation::Rfc3947)) => EncapsulationMode::UDP_TUNNEL,
            (Self::Transport, Some(UdpEncapsulation::Rfc3947)) => EncapsulationMode::UDP_TRANSPORT,
            (Self::Tunnel, Some(UdpEncapsulation::Drafts)) => EncapsulationMode::UDP_TUNNEL_DRAFT,
            (Self::Transport, Some(UdpEncapsulation::Drafts)) => EncapsulationMode::UDP_TRANSPORT_DRAFT,
        }
    }
}

/// A phase 2 suite for one protocol: what one transform of an ESP, AH or IPComp proposal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpsecTransform {
    /// The protocol with its algorithms.
    pub protection: Protection,
    /// Tunnel or transport.
    pub mode: Mode,
    /// The group for perfect forward secrecy, if any.
    pub pfs: Option<DhGroup>,
    /// How long the SA lives.
    pub lifetime: Lifetime,
    /// Whether sequence numbers have 64 bits (RFC 4304).
    pub extended_sequence: bool,
}

impl IpsecTransform {
    /// Returns ESP in tunnel mode without PFS, for the default lifetime.
    pub const fn esp(cipher: EspCipher, integrity: Option<Integrity>) -> Self {
        Self::new(Protection::Esp { cipher, integrity })
    }

    /// Returns a protection in tunnel mode without PFS, for the default lifetime.
    pub const fn new(protection: Protection) -> Self {
        let lifetime = Lifetime::seconds(Lifetime::DEFAULT_SECONDS);
        Self { protection, mode: Mode::Tunnel, pfs: None, lifetime, extended_sequence: false }
    }

    /// Returns whether any part of it must be asked for by a `dangerously_` name.
    pub fn is_weak(&self) -> bool {
        self.protection.is_weak() || self.pfs.is_some_and(DhGroup::is_weak)
    }

    /// Writes the transform, the attributes in the order strongSwan has.
    pub fn to_offered(&self, number: u8, udp: Option<UdpEncapsulation>) -> OfferedTransform {
        let udp = udp.filter(|_| self.protection.protocol() == ProtocolId::ESP);
        let mut attributes = Vec::new();
        if let (Some(bits), _) = self.protection.key_length() {
            attributes.push(Attribute::basic(IpsecAttribute::KEY_LENGTH, bits));
        }
        if let Some(authenticator) = self.protection.authenticator() {
            attributes.push(Attribute::basic(IpsecAttribute::AUTHENTICATION_ALGORITHM, authenticator));
        }
        if let Some(group) = self.pfs {
            attributes.push(Attribute::basic(IpsecAttribute::GROUP_DESCRIPTION, group.number()));
        }
        attributes.push(Attribute::basic(IpsecAttribute::ENCAPSULATION_MODE, self.mode.number(udp)));
        let (unit, duration) = (IpsecAttribute::SA_LIFE_TYPE.0, IpsecAttribute::SA_LIFE_DURATION.0);
        attributes.extend(lifetime::attributes(unit, duration, self.lifetime));
        if self.extended_sequence {
            attributes.push(Attribute::basic(IpsecAttribute::EXTENDED_SEQUENCE_NUMBER, EXTENDED));
        }
        OfferedTransform { number, id: self.protection.transform_id(), attributes }
    }
}

impl fmt::Display for IpsecTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protection, mode, pfs, lifetime, extended_sequence } = self;
        write!(f, "{protection}, {}", if *mode == Mode::Tunnel { "tunnel" } else { "transport" })?;
        if let Some(group) = pfs {
            write!(f, ", PFS {group}")?;
        }
        write!(f, ", lifetime {lifetime}")?;
        if *extended_sequence { f.write_str(", extended sequence numbers") } else { Ok(()) }
    }
}

/// "64-bit Sequence Number" of the attribute (RFC 4304 §2).
const EXTENDED: u16 = 1;

/// A phase 2 transform as it was offered: open numbers, nothing judged but its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OfferedIpsec {
    /// The protocol of its proposal.
    pub protocol: ProtocolId,
    /// Transform number.
    pub id: u8,
    /// Key length in bits.
    pub key_length: Option<u16>,
    /// Authentication algorithm.
    pub authenticator: Option<AuthAlgorithm>,
    /// Encapsulation mode.
    pub encapsulation: Option<EncapsulationMode>,
    /// Group for perfect forward secrecy.
    pub pfs: Option<Group>,
    /// Lifetime.
    pub lifetime: Lifetime,
    /// Extended sequence numbers.
    pub extended_sequence: bool,
}

impl OfferedIpsec {
    /// Reads a transform of a proposal for `protocol`, its attributes in any order and either form.
    pub fn read(protocol: ProtocolId, transform: &Transform<'_>) -> Result<Self, AttributeError> {
        let mut offered = Self { protocol, id: transform.id, ..Self::default() };
        let mut life = LifetimeReader::default();
        let mut extended = None;
        for attribute in transform.attributes {
            let read = |field| number(&attribute, field);
            match IpsecAttribute(attribute.class) {
                IpsecAttribute::SA_LIFE_TYPE => life.life_type(&attribute)?,
                IpsecAttribute::SA_LIFE_DURATION => life.duration(&attribute)?,
                IpsecAttribute::GROUP_DESCRIPTION => once(&mut offered.pfs, Group(read("PFS group")?), "PFS group")?,
                IpsecAttribute::ENCAPSULATION_MODE => {
                    once(&mut offered.encapsulation, EncapsulationMode(read("encapsulation")?), "encapsulation")?;
                }
                IpsecAttribute::AUTHENTICATION_ALGORITHM => {
                    once(&mut offered.authenticator, AuthAlgorithm(read("authenticator")?), "authenticator")?;
                }
                IpsecAttribute::KEY_LENGTH => once(&mut offered.key_length, read("key length")?, "key length")?,
                IpsecAttribute::EXTENDED_SEQUENCE_NUMBER => {
                    once(&mut extended, read("extended sequence number")?, "extended sequence number")?;
                }
                IpsecAttribute(unknown) => return Err(AttributeError::Unknown(unknown)),
            }
        }
        offered.lifetime = life.finish()?;
        offered.extended_sequence = match extended {
            None => false,
            Some(EXTENDED) => true,
            Some(_) => return Err(AttributeError::Range("extended sequence number")),
        };
        Ok(offered)
    }

    /// Finds the first term, lifetime apart, in which the offer differs from what is wanted.
    ///
    /// `udp` tells that a NAT was found; for ESP either numbering of the encapsulation in UDP will then do.
    pub(crate) fn compare(&self, wanted: &IpsecTransform, udp: Option<UdpEncapsulation>) -> Result<(), Mismatch> {
        let protection = &wanted.protection;
        let (key_length, key_len) = protection.key_length();
        let term = |id, bits| match protection {
            Protection::Esp { .. } => Term::Esp(EspTransform(id), bits),
            Protection::Ah { .. } | Protection::Ipcomp { .. } => Term::Transform(id),
        };
        Mismatch::unless(
            self.id == protection.transform_id() && key_fits(self.key_length, key_length, key_len),
            term(self.id, self.key_length),
            term(protection.transform_id(), key_length),
        )?;
        let authenticator = protection.authenticator();
        Mismatch::unless(
            self.authenticator == authenticator,
            Term::Authenticator(self.authenticator),
            Term::Authenticator(authenticator),
        )?;
        let pfs = wanted.pfs.map(DhGroup::number);
        Mismatch::unless(self.pfs == pfs, Term::PfsGroup(self.pfs), Term::PfsGroup(pfs))?;
        // Only ESP travels in UDP; a companion keeps its plain mode.
        let udp = udp.filter(|_| self.protocol == ProtocolId::ESP);
        let either = [UdpEncapsulation::Rfc3947, UdpEncapsulation::Drafts];
        let encapsulated = match udp {
            None => self.encapsulation == Some(wanted.mode.number(None)),
            Some(_) => either.iter().any(|udp| self.encapsulation == Some(wanted.mode.number(Some(*udp)))),
        };
        Mismatch::unless(
            encapsulated,
            Term::Encapsulation(self.encapsulation),
            Term::Encapsulation(Some(wanted.mode.number(udp))),
        )?;
        Mismatch::unless(
            self.extended_sequence == wanted.extended_sequence,
            Term::ExtendedSequence(self.extended_sequence),
            Term::ExtendedSequence(wanted.extended_sequence),
        )
    }
}
