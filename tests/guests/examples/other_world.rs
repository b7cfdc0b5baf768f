//! A component of another world: it exports none of a policy's interfaces.

mod generated {
    #![allow(
        missing_docs,
        unsafe_code,
        unreachable_pub,
        unused_qualifications,
        clippy::allow_attributes_without_reason,
        clippy::use_self,
        reason = "generated"
    )]
    wit_bindgen::generate!({
        inline: "
            package hostile:elsewhere@0.1.0;

            world stranger {
                export ping: func() -> u32;
            }
        ",
    });
}

struct Stranger;

impl generated::Guest for Stranger {
    fn ping() -> u32 {
        7
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "what wit-bindgen generates is the component's boundary")]
mod exported {
    use super::{Stranger, generated};

    generated::export!(Stranger with_types_in generated);
}
