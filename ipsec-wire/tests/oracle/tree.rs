//! The oracle's tree of fields, and which of them are compared.

use serde_json::Value;

/// A field of the oracle.
pub struct Node {
    pub name: String,
    pub text: String,
    pub value: String,
    /// Where it is in the frame, or in the decrypted octets.
    pub at: usize,
    pub size: usize,
    pub children: Vec<Node>,
}

/// A field that is compared: its name in the oracle, and its octets in hexadecimal.
#[derive(Debug, PartialEq, Eq)]
pub struct Compared {
    pub name: String,
    pub value: String,
}

impl Compared {
    pub fn new(name: &str, octets: &[u8]) -> Self {
        Self { name: name.into(), value: hex::encode(octets) }
    }
}

/// Fields that repeat octets of another field, or that explain them.
///
/// `reserved`: the reserved octet of a payload header is checked by the parser, the others are
/// ignored by rule. `isakmp.sak`: see `known`. The rest are bits, names and readings of octets
/// that are compared whole.
const NOT_COMPARED: [&str; 21] = [
    "isakmp.mjver",
    "isakmp.mnver",
    "isakmp.flag_e",
    "isakmp.flag_c",
    "isakmp.flag_a",
    "isakmp.reserved",
    "isakmp.typepayload",
    "isakmp.sa.situation.",
    "isakmp.ike.attr",
    "isakmp.ipsec.attr",
    "isakmp.cfg.attr",
    "isakmp.id.data",
    "isakmp.vid.",
    "isakmp.vid_string",
    "isakmp.notify.data.",
    "isakmp.extradata",
    "isakmp.enc.",
    "isakmp.fragment",
    "isakmp.reassembled",
    "isakmp.sak.",
    "isakmp.datapayload",
];

/// Fields whose octets are compared.
const COMPARED: [&str; 53] = [
    "isakmp.ispi",
    "isakmp.rspi",
    "isakmp.nextpayload",
    "isakmp.version",
    "isakmp.exchangetype",
    "isakmp.flags",
    "isakmp.messageid",
    "isakmp.length",
    "isakmp.payloadlength",
    "isakmp.sa.doi",
    "isakmp.sa.situation",
    "isakmp.prop.number",
    "isakmp.prop.protoid",
    "isakmp.prop.transforms",
    "isakmp.spisize",
    "isakmp.spi",
    "isakmp.trans.number",
    "isakmp.trans.id",
    "isakmp.ike.attr.type",
    "isakmp.ike.attr.length",
    "isakmp.ike.attr.value",
    "isakmp.ipsec.attr.type",
    "isakmp.ipsec.attr.length",
    "isakmp.ipsec.attr.value",
    "isakmp.cfg.attr.type",
    "isakmp.cfg.attr.length",
    "isakmp.cfg.attr.value",
    "isakmp.key_exchange.data",
    "isakmp.nonce",
    "isakmp.hash",
    "isakmp.sig",
    "isakmp.id.type",
    "isakmp.id.protoid",
    "isakmp.id.port",
    "isakmp.id.data.ipv4_addr",
    "isakmp.id.data.ipv4_subnet",
    "isakmp.id.data.ipv6_addr",
    "isakmp.id.data.ipv6_subnet",
    "isakmp.id.data.fqdn",
    "isakmp.id.data.user_fqdn",
    "isakmp.id.data.key_id",
    "isakmp.id.data.der_asn1_dn",
    "isakmp.cert.encoding",
    "isakmp.certreq.type",
    "isakmp.ike.certreq.authority.sig",
    "isakmp.vid_bytes",
    "isakmp.notify.doi",
    "isakmp.notify.protoid",
    "isakmp.notify.msgtype",
    "isakmp.notify.data",
    "isakmp.cfg.type",
    "isakmp.cfg.identifier",
    "isakmp.ike.nat_hash",
];

/// More of them, which only captures of live peers have.
const COMPARED_TOO: [&str; 8] = [
    "isakmp.delete.doi",
    "isakmp.delete.protoid",
    "isakmp.delete.spi",
    "isakmp.spinum",
    "isakmp.ike.nat_original_address_ipv4",
    "isakmp.frag.packetid",
    "isakmp.frag.seq",
    "isakmp.frag.last",
];

impl Node {
    /// Takes a node of a committed oracle.
    pub fn from_json(node: &Value) -> Self {
        let number = |key: &str| usize::try_from(node[key].as_u64().unwrap_or(0)).unwrap();
        let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("n"),
            text: text("t"),
            value: text("v"),
            at: number("p"),
            size: number("z"),
            children: node["c"].as_array().into_iter().flatten().map(Self::from_json).collect(),
        }
    }

    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The payloads directly in it.
    pub fn payloads(&self) -> Vec<&Self> {
        self.children.iter().filter(|child| child.name == "isakmp.typepayload").collect()
    }

    /// The fields of the message header.
    pub fn header(&self) -> Vec<Compared> {
        let fields = self.children.iter().filter(|child| child.name != "isakmp.typepayload");
        fields.filter_map(Self::compared).collect()
    }

    /// What was decrypted: the payloads one behind the other, and the padding; `None` when the
    /// oracle's own reading ends in the middle.
    pub fn plaintext(&self) -> Option<Vec<u8>> {
        let parts =
            self.children.iter().filter(|child| ["isakmp.typepayload", "isakmp.extradata"].contains(&&*child.name));
        let parts: Result<Vec<_>, _> = parts.map(|child| hex::decode(&child.value)).collect();
        Some(parts.ok()?.concat())
    }

    /// Every compared field in it, in order.
    pub fn fields(&self) -> Vec<Compared> {
        // A certificate is decoded further down, and has no octets of its own.
        if self.name == "isakmp.cert.data" {
            return vec![Compared { name: self.name.clone(), value: format!("{} octets", self.size) }];
        }
        self.compared().into_iter().chain(self.children.iter().flat_map(Self::fields)).collect()
    }

    /// The octets of a vendor id that the oracle knows, under its name.
    pub fn known_vendor_id(&self) -> Option<Compared> {
        let named = self.child("isakmp.vid_string")?;
        let name = named.text.trim_start_matches("Vendor ID: ");
        (name != "Unknown Vendor ID").then(|| Compared { name: name.into(), value: named.value.clone() })
    }

    fn compared(&self) -> Option<Compared> {
        if COMPARED.contains(&&*self.name) || COMPARED_TOO.contains(&&*self.name) {
            return (!self.value.is_empty()).then(|| Compared { name: self.name.clone(), value: self.value.clone() });
        }
        let expected =
            !self.name.starts_with("isakmp.") || NOT_COMPARED.iter().any(|start| self.name.starts_with(start));
        assert!(expected, "{} is neither compared nor left out for a reason", self.name);
        None
    }
}
