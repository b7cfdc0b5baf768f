//! The settings as a JSON Schema, for people and editors.
//!
//! Owns a text, and no behaviour: nobody runs it. [`crate::configure`] is what validates, and a test holds both to the
//! same keys, defaults and bounds.

/// JSON Schema (draft 2020-12) of the settings.
pub const SETTINGS_SCHEMA: &str = include_str!("settings.schema.json");
