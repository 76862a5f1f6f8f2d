//! Lawful messages and payloads out of arbitrary octets, for structured fuzzing.
//!
//! Whatever comes out can be written, and reads back as itself.

use super::payload::{
    Attribute, Certificate, CertificateRequest, Delete, Fragment, GroupKey, Hash, Identification, KeyExchange, Label,
    Labels, NatDetection, NatNumbering, NatOriginalAddress, Nonce, Notification, Offer, OfferedProposal,
    OfferedTransform, OwnedConfiguration, OwnedPayload, Signature, Situation, VendorId,
};
use super::{Cookie, Flags, Header, MessageId, OwnedBody, OwnedMessage};
use crate::registry::{
    CertificateEncoding, ConfigType, Doi, ExchangeType, IdType, NotifyType, PayloadType, ProtocolId,
};
use alloc::vec::Vec;
use arbitrary::{Arbitrary, Result, Unstructured};

/// Items in one list: enough to be interesting, few enough to be small.
const MANY: usize = 8;

impl<'a> Arbitrary<'a> for OwnedMessage {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut header = Header::new(
            Cookie(u.arbitrary()?),
            Cookie(u.arbitrary()?),
            ExchangeType(u.arbitrary()?),
            MessageId(u.arbitrary()?),
        );
        header.flags = Flags(u.arbitrary()?);
        let body = if u.ratio(1, 8)? {
            header.flags = header.flags.with(Flags::ENCRYPTION);
            header.next_payload = PayloadType(u.arbitrary()?);
            if header.next_payload == PayloadType::FRAGMENT {
                header.next_payload = PayloadType::HASH;
            }
            OwnedBody::Encrypted(some_octets(u)?)
        } else {
            OwnedBody::Clear(list(u, OwnedPayload::arbitrary)?)
        };
        Ok(Self { header, body })
    }
}

impl<'a> Arbitrary<'a> for OwnedPayload {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=16u8)? {
            0 => Self::SecurityAssociation(u.arbitrary()?),
            1 => Self::KeyExchange(KeyExchange { data: some_octets(u)? }),
            2 => Self::Identification(Identification {
                id_type: IdType(u.arbitrary()?),
                protocol: u.arbitrary()?,
                port: u.arbitrary()?,
                data: octets(u)?,
            }),
            3 => Self::Certificate(Certificate { encoding: CertificateEncoding(u.arbitrary()?), data: octets(u)? }),
            4 => Self::CertificateRequest(CertificateRequest {
                encoding: CertificateEncoding(u.arbitrary()?),
                data: octets(u)?,
            }),
            5 => Self::Hash(Hash { data: some_octets(u)? }),
            6 => Self::Signature(Signature { data: some_octets(u)? }),
            7 => {
                let length = u.int_in_range(8..=256usize)?;
                let mut data = u.bytes(length.min(u.len()))?.to_vec();
                data.resize(length, 0);
                Self::Nonce(Nonce { data })
            }
            8 => Self::Notification(Notification {
                doi: Doi(u.arbitrary()?),
                protocol: ProtocolId(u.arbitrary()?),
                notify_type: NotifyType(u.arbitrary()?),
                spi: short_octets(u, 255)?,
                data: octets(u)?,
            }),
            9 => Self::Delete(delete(u)?),
            10 => Self::VendorId(VendorId { data: some_octets(u)? }),
            11 => Self::Configuration(OwnedConfiguration {
                config_type: ConfigType(u.arbitrary()?),
                identifier: u.arbitrary()?,
                attributes: list(u, attribute)?,
            }),
            12 => Self::NatDetection(NatDetection { numbering: numbering(u)?, data: some_octets(u)? }),
            13 => Self::NatOriginalAddress(NatOriginalAddress { numbering: numbering(u)?, address: u.arbitrary()? }),
            14 => Self::Fragment(Fragment {
                id: u.arbitrary()?,
                number: u.int_in_range(1..=255)?,
                flags: u.arbitrary()?,
                data: some_octets(u)?,
            }),
            15 => Self::GroupKey(GroupKey {
                payload_type: *u.choose(&[
                    PayloadType::SA_KEK,
                    PayloadType::SA_TEK,
                    PayloadType::KEY_DOWNLOAD,
                    PayloadType::SEQUENCE_NUMBER,
                    PayloadType::PROOF_OF_POSSESSION,
                    PayloadType::GROUP_ASSOCIATED_POLICY,
                ])?,
                data: octets(u)?,
            }),
            _ => Self::Unknown(PayloadType(u.int_in_range(23..=129)?), octets(u)?),
        })
    }
}

impl<'a> Arbitrary<'a> for Offer {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut proposals = list(u, proposal)?;
        if proposals.is_empty() {
            proposals.push(proposal(u)?);
        }
        Ok(Self { situation: situation(u)?, proposals })
    }
}

fn proposal(u: &mut Unstructured<'_>) -> Result<OfferedProposal> {
    let protocol = ProtocolId(u.int_in_range(0..=6)?);
    let spi = match protocol {
        ProtocolId::ISAKMP => short_octets(u, 16)?,
        ProtocolId::AH | ProtocolId::ESP => u.arbitrary::<[u8; 4]>()?.to_vec(),
        ProtocolId::IPCOMP => u.arbitrary::<[u8; 2]>()?.to_vec(),
        _ => short_octets(u, 255)?,
    };
    let transform = |u: &mut Unstructured<'_>| {
        Ok(OfferedTransform { number: u.arbitrary()?, id: u.arbitrary()?, attributes: list(u, attribute)? })
    };
    Ok(OfferedProposal { number: u.arbitrary()?, protocol, spi, transforms: list(u, transform)? })
}

fn attribute(u: &mut Unstructured<'_>) -> Result<Attribute<Vec<u8>>> {
    let class: u16 = u.int_in_range(0..=0x7fff)?;
    Ok(if u.arbitrary()? {
        Attribute::basic(class, u.arbitrary::<u16>()?)
    } else {
        Attribute::variable(class, octets(u)?)
    })
}

fn situation(u: &mut Unstructured<'_>) -> Result<Situation<Vec<u8>>> {
    if !u.ratio(1, 4)? {
        return Ok(Situation::IDENTITY_ONLY);
    }
    let (secrecy, integrity) = match u.int_in_range(0..=2u8)? {
        0 => (Some(label(u)?), None),
        1 => (None, Some(label(u)?)),
        _ => (Some(label(u)?), Some(label(u)?)),
    };
    Ok(Situation { labels: Some(Labels { domain: u.arbitrary()?, secrecy, integrity }), identity_only: u.arbitrary()? })
}

fn label(u: &mut Unstructured<'_>) -> Result<Label<Vec<u8>>> {
    let category_bits: u16 = u.int_in_range(0..=96)?;
    let mut categories = short_octets(u, 12)?;
    categories.resize(usize::from(category_bits).div_ceil(32).saturating_mul(4), 0);
    Ok(Label { level: octets(u)?, category_bits, categories })
}

fn delete(u: &mut Unstructured<'_>) -> Result<Delete<Vec<u8>>> {
    let protocol = ProtocolId(u.int_in_range(0..=6)?);
    let spi_size: u8 = match protocol {
        ProtocolId::ISAKMP => *u.choose(&[8, 16])?,
        ProtocolId::AH | ProtocolId::ESP => 4,
        ProtocolId::IPCOMP => *u.choose(&[2, 4])?,
        _ => u.int_in_range(1..=255)?,
    };
    let count = u.int_in_range(0..=MANY)?;
    let mut data = octets(u)?;
    data.resize(count.saturating_mul(spi_size.into()), 0);
    Ok(Delete { doi: Doi(u.arbitrary()?), protocol, spi_size, data })
}

fn numbering(u: &mut Unstructured<'_>) -> Result<NatNumbering> {
    Ok(*u.choose(&[NatNumbering::Rfc3947, NatNumbering::Drafts00To03])?)
}

fn list<'a, T>(u: &mut Unstructured<'a>, item: impl Fn(&mut Unstructured<'a>) -> Result<T>) -> Result<Vec<T>> {
    let count = u.int_in_range(0..=MANY)?;
    (0..count).map(|_| item(u)).collect()
}

fn octets(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    short_octets(u, 1024)
}

fn short_octets(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let length = u.arbitrary_len::<u8>()?.min(most);
    Ok(u.bytes(length)?.to_vec())
}

fn some_octets(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut data = octets(u)?;
    if data.is_empty() {
        data.push(u.arbitrary()?);
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isakmp::payload::Emit;
    use proptest::prelude::*;

    fn message(octets: &[u8]) -> OwnedMessage {
        OwnedMessage::arbitrary(&mut Unstructured::new(octets)).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_message_that_was_written_reads_back_as_itself(octets in prop::collection::vec(any::<u8>(), 0..4000)) {
            let message = message(&octets);
            let written = message.to_octets().unwrap();
            let read = OwnedMessage::parse(&written).unwrap();
            prop_assert_eq!(&read.body, &message.body);
            prop_assert_eq!(read.to_octets().unwrap(), written);
        }

        #[test]
        fn every_payload_writes_as_many_octets_as_it_says(octets in prop::collection::vec(any::<u8>(), 0..4000)) {
            if let OwnedBody::Clear(payloads) = message(&octets).body {
                for payload in payloads {
                    prop_assert_eq!(payload.to_body().unwrap().len(), payload.emitted_len());
                }
            }
        }
    }
}
