/// Defines a payload whose body is octets and nothing else, of a length within bounds.
macro_rules! opaque_payload {
    ($(#[$meta:meta])* $name:ident, $payload_type:ident, $field:literal, $bounds:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name<B> {
            /// The body.
            pub data: B,
        }

        impl<'a> $name<&'a [u8]> {
            /// Reads a body.
            ///
            /// # Errors
            /// [`ErrorKind::Empty`](crate::ErrorKind::Empty) for no octets,
            /// [`ErrorKind::Length`](crate::ErrorKind::Length) outside the bounds of the RFC.
            #[inline]
            pub fn parse(body: impl Into<crate::reader::Reader<'a>>) -> Result<Self, crate::error::WireError> {
                let mut reader = body.into();
                let start = reader;
                let data = reader.some_rest($field)?;
                if $bounds.contains(&data.len()) {
                    Ok(Self { data })
                } else {
                    Err(start.error(crate::error::ErrorKind::Length, $field))
                }
            }
        }

        impl<B: AsRef<[u8]>> $name<B> {
            /// Returns a copy that owns its octets.
            pub fn to_owned(&self) -> $name<alloc::vec::Vec<u8>> {
                $name { data: self.data.as_ref().to_vec() }
            }
        }

        impl<B: AsRef<[u8]>> super::Emit for $name<B> {
            fn payload_type(&self) -> crate::registry::PayloadType {
                crate::registry::PayloadType::$payload_type
            }

            fn emitted_len(&self) -> usize {
                self.data.as_ref().len()
            }

            fn emit(&self, writer: &mut crate::writer::Writer<'_>) {
                writer.octets(self.data.as_ref());
            }
        }
    };
}

pub(crate) use opaque_payload;
