//! The proof that the library crates are `no_std`: a second panic handler beside that of `std` is
//! the compile error E0152, so this crate builds only while nothing below it links `std`.
#![no_std]

extern crate drive as _;
extern crate esp_ah as _;
extern crate gateway as _;
extern crate ikev1_core as _;
extern crate ipsec_wire as _;
extern crate l2tpv3 as _;
extern crate nat_t as _;
extern crate sad as _;
extern crate spd as _;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
