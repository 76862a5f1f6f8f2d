use crate::proposal::Lifetime;
use alloc::vec::Vec;
use ipsec_wire::Writer;
use ipsec_wire::isakmp::Payloads;
use ipsec_wire::isakmp::payload::{Attribute, Attributes, Notification, NotificationData};
use ipsec_wire::registry::{IpsecAttribute, LifeType, NotifyType, PayloadType};

/// Reads the lifetime that the responder says it will keep, RFC 2407 §4.6.3.1.
///
/// It must come from a message that proved authentic. What is zero or cannot be read says nothing.
pub(super) fn read(payloads: &Payloads<'_>) -> Lifetime {
    let notifications = payloads
        .iter()
        .filter(|payload| payload.payload_type() == PayloadType::NOTIFICATION)
        .filter_map(|payload| Notification::parse(payload).ok());
    let mut lifetime = Lifetime::default();
    for notification in notifications.filter(|n| n.notify_type == NotifyType::RESPONDER_LIFETIME) {
        if let Ok(NotificationData::ResponderLifetime(attributes)) = notification.typed_data() {
            lifetime = lifetime.shorter(read_attributes(attributes));
        }
    }
    lifetime
}

fn read_attributes(attributes: Attributes<'_>) -> Lifetime {
    let mut lifetime = Lifetime::default();
    let mut unit = None;
    for attribute in attributes {
        match (IpsecAttribute(attribute.class), unit) {
            (IpsecAttribute::SA_LIFE_TYPE, _) => unit = attribute.to_u16().ok().map(LifeType),
            (IpsecAttribute::SA_LIFE_DURATION, Some(unit)) => {
                let duration = attribute.to_u64().ok().filter(|duration| *duration != 0);
                match unit {
                    LifeType::SECONDS => lifetime.seconds = duration.or(lifetime.seconds),
                    LifeType::KILOBYTES => lifetime.kilobytes = duration.or(lifetime.kilobytes),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    lifetime
}

/// Writes the data of the notification that tells `lifetime`.
pub(super) fn write(lifetime: Lifetime) -> Vec<u8> {
    let mut data = Vec::new();
    let mut writer = Writer::new(&mut data);
    for (unit, duration) in [(LifeType::SECONDS, lifetime.seconds), (LifeType::KILOBYTES, lifetime.kilobytes)] {
        if let Some(duration) = duration {
            Attribute::<Vec<u8>>::basic(IpsecAttribute::SA_LIFE_TYPE, unit).emit(&mut writer);
            Attribute::number(IpsecAttribute::SA_LIFE_DURATION, duration).emit(&mut writer);
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_reads_back_as_it_was_written() {
        for lifetime in [
            Lifetime::seconds(3600),
            Lifetime { seconds: Some(86_400), kilobytes: Some(4_608_000) },
            Lifetime { seconds: None, kilobytes: Some(1) },
        ] {
            assert_eq!(read_attributes(Attributes::parse(write(lifetime).as_slice()).unwrap()), lifetime);
        }
    }
}
