//! The policy component: the rules of `octroi-rules` behind the WIT world of `wit/policy.wit`.
//!
//! Owns the conversions between both and the guest's memory; every decision is made in the rules. It must never import
//! anything: the world has no imports, and the build refuses a component that has one.

// The exported macro names the bindings by their path from outside.
extern crate self as octroi_policy;

mod convert;
#[cfg(target_arch = "wasm32")]
mod memory;
mod policy;

pub use policy::Policy;

/// What wit-bindgen makes of the contract.
pub mod bindings {
    #![allow(
        missing_docs,
        clippy::allow_attributes_without_reason,
        clippy::use_self,
        unsafe_code,
        unused_qualifications,
        reason = "generated"
    )]
    wit_bindgen::generate!({
        path: "../wit",
        world: "policy",
        pub_export_macro: true,
        default_bindings_module: "octroi_policy::bindings",
        additional_derives: [Clone, PartialEq],
    });
}

/// Exports a type, in scope where this is called, that implements every `Guest` trait of [`bindings`] from the
/// component that is being built.
#[macro_export]
macro_rules! export_policy {
    ($policy:ident) => {
        #[allow(unsafe_code, unreachable_pub, reason = "what wit-bindgen generates is the component's boundary")]
        mod component_exports {
            use super::$policy;

            $crate::bindings::export!($policy with_types_in octroi_policy::bindings);
        }
    };
}

#[cfg(feature = "component")]
export_policy!(Policy);
