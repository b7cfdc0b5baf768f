//! Exports every function of a policy by its name, each of another type.

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
            package octroi:policy@0.2.0;

            interface manifest {
                describe: func() -> u32;
                configure: func(settings: string) -> u32;
            }

            interface login {
                open: func() -> u32;
                decide: func() -> u32;
            }

            interface submission {
                judge: func() -> u32;
            }

            interface certificate {
                judge: func() -> u32;
            }

            world policy {
                export manifest;
                export login;
                export submission;
                export certificate;
            }
        ",
    });
}

use generated::exports::octroi::policy::{certificate, login, manifest, submission};

struct Impostor;

impl manifest::Guest for Impostor {
    fn describe() -> u32 {
        0
    }

    fn configure(_: String) -> u32 {
        0
    }
}

impl login::Guest for Impostor {
    fn open() -> u32 {
        0
    }

    fn decide() -> u32 {
        0
    }
}

impl submission::Guest for Impostor {
    fn judge() -> u32 {
        0
    }
}

impl certificate::Guest for Impostor {
    fn judge() -> u32 {
        0
    }
}

#[allow(unsafe_code, unreachable_pub, reason = "what wit-bindgen generates is the component's boundary")]
mod exported {
    use super::{Impostor, generated};

    generated::export!(Impostor with_types_in generated);
}
