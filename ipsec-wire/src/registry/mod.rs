//! The numbers of the wire, with a name for each that is known.
//!
//! Every number is an open newtype: unknown values survive, and print as `unknown (number)`.

mod config;
mod ike;
mod ipsec;
mod isakmp;
mod number;

pub use config::{ConfigAttribute, ConfigType, XauthStatus, XauthType};
pub use ike::{AuthMethod, Group, GroupType, IkeAttribute, IkeCipher, IkeHash, LifeType};
pub use ipsec::{
    AhTransform, AuthAlgorithm, EncapsulationMode, EspTransform, IpcompTransform, IpsecAttribute, IsakmpTransform,
};
pub use isakmp::{CertificateEncoding, Doi, ExchangeType, IdType, NotifyType, PayloadType, ProtocolId};
