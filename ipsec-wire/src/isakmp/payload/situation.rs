use crate::error::{ErrorKind, WireError};
use crate::reader::Reader;
use crate::writer::Writer;
use alloc::vec::Vec;

/// Under which circumstances an SA is negotiated (RFC 2407 §4.2, §4.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Situation<B> {
    /// The domain and the labels, when there are any; `None` is SIT_IDENTITY_ONLY.
    pub labels: Option<Labels<B>>,
    /// Whether SIT_IDENTITY_ONLY is set: it must be, but old peers with labels leave it out.
    pub identity_only: bool,
}

/// The labels of a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Labels<B> {
    /// The labeled domain identifier (RFC 2407 §4.6.1.1).
    pub domain: u32,
    /// SIT_SECRECY.
    pub secrecy: Option<Label<B>>,
    /// SIT_INTEGRITY.
    pub integrity: Option<Label<B>>,
}

/// A level and its categories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Label<B> {
    /// The level, without padding.
    pub level: B,
    /// How many bits of the bitmap count.
    pub category_bits: u16,
    /// The category bitmap, padded to whole words.
    pub categories: B,
}

const IDENTITY_ONLY: u32 = 1;
const SECRECY: u32 = 2;
const INTEGRITY: u32 = 4;

impl<B> Situation<B> {
    /// The situation of every peer without labels.
    pub const IDENTITY_ONLY: Self = Self { labels: None, identity_only: true };
}

impl<B> Default for Situation<B> {
    fn default() -> Self {
        Self::IDENTITY_ONLY
    }
}

impl<'a> Situation<&'a [u8]> {
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let offset = reader.offset();
        let bits = reader.u32("situation")?;
        if bits == 0 || bits & !(IDENTITY_ONLY | SECRECY | INTEGRITY) != 0 {
            return Err(WireError::new(ErrorKind::Situation, "situation", offset));
        }
        let identity_only = bits & IDENTITY_ONLY != 0;
        if bits & (SECRECY | INTEGRITY) == 0 {
            return Ok(Self { labels: None, identity_only });
        }
        let domain = reader.u32("labeled domain identifier")?;
        let secrecy = if bits & SECRECY != 0 { Some(Label::parse(reader)?) } else { None };
        let integrity = if bits & INTEGRITY != 0 { Some(Label::parse(reader)?) } else { None };
        Ok(Self { labels: Some(Labels { domain, secrecy, integrity }), identity_only })
    }
}

impl<B: AsRef<[u8]>> Situation<B> {
    /// Returns the bits of the wire.
    pub fn bits(&self) -> u32 {
        let secrecy = self.labels.as_ref().is_some_and(|labels| labels.secrecy.is_some());
        let integrity = self.labels.as_ref().is_some_and(|labels| labels.integrity.is_some());
        [(self.identity_only, IDENTITY_ONLY), (secrecy, SECRECY), (integrity, INTEGRITY)]
            .iter()
            .fold(0, |bits, (set, bit)| if *set { bits | bit } else { bits })
    }

    /// Returns a copy that owns its octets.
    pub fn to_owned(&self) -> Situation<Vec<u8>> {
        let labels = self.labels.as_ref().map(|labels| Labels {
            domain: labels.domain,
            secrecy: labels.secrecy.as_ref().map(Label::to_owned),
            integrity: labels.integrity.as_ref().map(Label::to_owned),
        });
        Situation { labels, identity_only: self.identity_only }
    }

    pub(super) fn emitted_len(&self) -> usize {
        let present = self.present();
        let labels = present.map_or(0, |labels| labels.each().map(Label::emitted_len).fold(4, usize::saturating_add));
        labels.saturating_add(4)
    }

    pub(super) fn emit(&self, writer: &mut Writer<'_>) {
        writer.u32(self.bits());
        if let Some(labels) = self.present() {
            writer.u32(labels.domain);
            labels.each().for_each(|label| label.emit(writer));
        }
    }

    /// The labels, unless there is none of them: then nothing says that the domain is there.
    fn present(&self) -> Option<&Labels<B>> {
        self.labels.as_ref().filter(|labels| labels.each().next().is_some())
    }
}

impl<B> Labels<B> {
    fn each(&self) -> impl Iterator<Item = &Label<B>> {
        self.secrecy.iter().chain(&self.integrity)
    }
}

impl<'a> Label<&'a [u8]> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, WireError> {
        let level_len = usize::from(reader.u16("level length")?);
        reader.u16("reserved")?;
        let level = reader.octets(level_len, "level")?;
        reader.octets(padding(level_len), "level padding")?;
        let category_bits = reader.u16("category length")?;
        reader.u16("reserved")?;
        let categories = reader.octets(bitmap_len(category_bits), "category bitmap")?;
        Ok(Self { level, category_bits, categories })
    }
}

impl<B: AsRef<[u8]>> Label<B> {
    fn to_owned(&self) -> Label<Vec<u8>> {
        Label {
            level: self.level.as_ref().to_vec(),
            category_bits: self.category_bits,
            categories: self.categories.as_ref().to_vec(),
        }
    }

    fn emitted_len(&self) -> usize {
        let level = self.level.as_ref().len();
        8usize.saturating_add(level).saturating_add(padding(level)).saturating_add(bitmap_len(self.category_bits))
    }

    fn emit(&self, writer: &mut Writer<'_>) {
        let level = self.level.as_ref();
        writer.count_u16(level.len(), "level length");
        writer.u16(0);
        writer.octets(level);
        writer.zeros(padding(level.len()));
        writer.u16(self.category_bits);
        writer.u16(0);
        let categories = self.categories.as_ref();
        if categories.len() != bitmap_len(self.category_bits) {
            writer.fail(ErrorKind::Length, "category bitmap");
        }
        writer.octets(categories);
    }
}

/// Returns the zeros that bring `len` to a whole word.
fn padding(len: usize) -> usize {
    len.next_multiple_of(4).saturating_sub(len)
}

/// Returns the octets of a bitmap of `bits`, in whole words.
fn bitmap_len(bits: u16) -> usize {
    usize::from(bits).div_ceil(32).saturating_mul(4)
}
