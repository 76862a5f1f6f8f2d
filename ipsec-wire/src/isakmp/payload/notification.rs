use super::{Attributes, Emit};
use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::registry::{Doi, NotifyType, PayloadType, ProtocolId};
use crate::writer::Writer;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// An error or a piece of news (RFC 2408 §3.14, RFC 2407 §4.6.3).
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |              Domain of Interpretation  (DOI)                  |
/// +---------------+---------------+---------------+---------------+
/// |  Protocol-ID  |   SPI Size    |      Notify Message Type      |
/// +---------------+---------------+---------------+---------------+
/// ~                Security Parameter Index (SPI)                 ~
/// ~                       Notification Data                       ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Notification<B> {
    /// The domain that the protocol number belongs to.
    pub doi: Doi,
    /// The protocol of the SA it is about.
    pub protocol: ProtocolId,
    /// What it says.
    pub notify_type: NotifyType,
    /// The SA it is about: both cookies, an SPI, or nothing.
    pub spi: B,
    /// What else it says; see [`typed_data`](Self::typed_data).
    pub data: B,
}

impl<'a> Notification<&'a [u8]> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] below the fixed part or inside the SPI.
    pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let doi = Doi(reader.u32("DOI")?);
        let protocol = ProtocolId(reader.u8("protocol id")?);
        let spi_size = usize::from(reader.u8("SPI size")?);
        let notify_type = NotifyType(reader.u16("notify message type")?);
        let spi = reader.octets(spi_size, "SPI")?;
        Ok(Self { doi, protocol, notify_type, spi, data: reader.rest() })
    }
}

impl<B: AsRef<[u8]>> Notification<B> {
    /// The octets before the SPI.
    pub const FIXED_LEN: usize = 8;

    /// Returns the data as the type of the notification defines it.
    ///
    /// # Errors
    /// What is wrong with data that the type does not allow.
    pub fn typed_data(&self) -> Result<NotificationData<'_>, ErrorKind> {
        NotificationData::parse(self.notify_type, self.data.as_ref())
    }

    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> Notification<Vec<u8>> {
        Notification {
            doi: self.doi,
            protocol: self.protocol,
            notify_type: self.notify_type,
            spi: self.spi.as_ref().to_vec(),
            data: self.data.as_ref().to_vec(),
        }
    }
}

impl<B: AsRef<[u8]>> Emit for Notification<B> {
    fn payload_type(&self) -> PayloadType {
        PayloadType::NOTIFICATION
    }

    fn emitted_len(&self) -> usize {
        Self::FIXED_LEN.saturating_add(self.spi.as_ref().len()).saturating_add(self.data.as_ref().len())
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.u32(self.doi.0);
        writer.u8(self.protocol.0);
        writer.count_u8(self.spi.as_ref().len(), "SPI size");
        writer.u16(self.notify_type.0);
        writer.octets(self.spi.as_ref());
        writer.octets(self.data.as_ref());
    }
}

/// The data of a notification, by its type.
#[non_exhaustive]
#[derive(Clone, Copy, Debug)]
pub enum NotificationData<'a> {
    /// RESPONDER-LIFETIME: life types and durations (RFC 2407 §4.6.3.1).
    ResponderLifetime(Attributes<'a>),
    /// REPLAY-STATUS: whether replay detection is on (RFC 2407 §4.6.3.2).
    ReplayStatus(bool),
    /// INITIAL-CONTACT: the sender knows no other SA with us (RFC 2407 §4.6.3.3).
    InitialContact,
    /// R-U-THERE: a probe with its sequence number (RFC 3706 §5.2).
    AreYouThere(u32),
    /// R-U-THERE-ACK: the answer to the probe of that number (RFC 3706 §5.2).
    AreYouThereAck(u32),
    /// The gateway to go to instead (Cisco Unity).
    LoadBalance(Ipv4Addr),
    /// A heartbeat during XAUTH (Cisco Unity), whatever it holds.
    Heartbeat(&'a [u8]),
    /// INVALID-SPI under a live ISAKMP SA: the SPI that is not known.
    InvalidSpi(u32),
    /// Anything else.
    Opaque(&'a [u8]),
}

impl<'a> NotificationData<'a> {
    fn parse(notify_type: NotifyType, data: &'a [u8]) -> Result<Self, ErrorKind> {
        match notify_type {
            NotifyType::RESPONDER_LIFETIME => Ok(Self::ResponderLifetime(Attributes::parse(data).map_err(|e| e.kind)?)),
            NotifyType::REPLAY_STATUS => match word(data)? {
                0 => Ok(Self::ReplayStatus(false)),
                1 => Ok(Self::ReplayStatus(true)),
                _ => Err(ErrorKind::Range),
            },
            // RFC 2407 §4.6.3.3 wants no data; some peers add zeros, and nothing can be meant by them.
            NotifyType::INITIAL_CONTACT => Ok(Self::InitialContact),
            NotifyType::R_U_THERE => Ok(Self::AreYouThere(word(data)?)),
            NotifyType::R_U_THERE_ACK => Ok(Self::AreYouThereAck(word(data)?)),
            NotifyType::UNITY_LOAD_BALANCE => Ok(Self::LoadBalance(Ipv4Addr::from(word(data)?))),
            NotifyType::UNITY_HEARTBEAT => Ok(Self::Heartbeat(data)),
            NotifyType::INVALID_SPI if data.len() == 4 => Ok(Self::InvalidSpi(word(data)?)),
            _ => Ok(Self::Opaque(data)),
        }
    }
}

fn word(data: &[u8]) -> Result<u32, ErrorKind> {
    <[u8; 4]>::try_from(data).map(u32::from_be_bytes).map_err(|_| ErrorKind::Length)
}
