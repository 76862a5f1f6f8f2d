use super::{Attribute, Attributes, Emit};
use crate::error::WireError;
use crate::reader::Reader;
use crate::registry::{ConfigType, PayloadType};
use crate::writer::Writer;
use alloc::vec::Vec;

/// The Attributes payload of a transaction exchange, in place and checked
/// (draft-ietf-ipsec-isakmp-mode-cfg §3.2): configuration and XAUTH.
///
/// The owned form, which can be built, is [`OwnedConfiguration`].
///
/// ```text
/// +---------------+---------------+---------------+---------------+
/// |     Type      |RESERVED, ignrd|           Identifier          |
/// +---------------+---------------+---------------+---------------+
/// ~                           Attributes                          ~
/// +---------------+---------------+---------------+---------------+
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Configuration<'a> {
    /// Request, reply, set or acknowledgement.
    pub config_type: ConfigType,
    /// What ties the messages of one transaction together.
    pub identifier: u16,
    /// The attributes.
    pub attributes: Attributes<'a>,
}

impl<'a> Configuration<'a> {
    /// Reads a body; one to three octets at the end that can be no attribute are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`](crate::ErrorKind::Truncated) below the fixed part, and those of
    /// [`Attributes::parse_padded`].
    pub fn parse(body: impl Into<Reader<'a>>) -> Result<Self, WireError> {
        let mut reader = body.into();
        let config_type = ConfigType(reader.u8("configuration type")?);
        reader.u8("reserved")?;
        let identifier = reader.u16("identifier")?;
        Ok(Self { config_type, identifier, attributes: Attributes::parse_padded(reader)? })
    }

    /// Returns the owned form.
    pub fn to_owned(&self) -> OwnedConfiguration {
        let attributes = self.attributes.iter().map(|attribute| attribute.to_owned()).collect();
        OwnedConfiguration { config_type: self.config_type, identifier: self.identifier, attributes }
    }
}

/// An Attributes payload that can be built: the owned form of [`Configuration`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedConfiguration {
    /// Request, reply, set or acknowledgement.
    pub config_type: ConfigType,
    /// What ties the messages of one transaction together.
    pub identifier: u16,
    /// The attributes, in the order of the wire.
    pub attributes: Vec<Attribute<Vec<u8>>>,
}

impl Emit for OwnedConfiguration {
    fn payload_type(&self) -> PayloadType {
        PayloadType::ATTRIBUTES
    }

    fn emitted_len(&self) -> usize {
        self.attributes.iter().map(Attribute::emitted_len).fold(4, usize::saturating_add)
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        writer.octets(&[self.config_type.0, 0]);
        writer.u16(self.identifier);
        self.attributes.iter().for_each(|attribute| attribute.emit(writer));
    }
}
