//! `[policy]`: the settings that go to the component, from TOML to the JSON that it takes.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::Config;

/// The settings as the component gets them: `[policy.settings]`, and what the rest of the configuration already says
/// (`issuers`, `leeway_seconds`, `session_max_seconds`) where the table does not say it itself.
#[must_use]
pub fn policy_settings(config: &Config) -> String {
    let mut settings = config.policy.settings.clone();
    let issuers = config.issuers.iter();
    let issuers = issuers.map(|i| json!({"issuer": i.issuer, "introspection": i.introspection.code()})).collect();
    settings.entry("issuers").or_insert(Value::Array(issuers));
    settings.entry("leeway_seconds").or_insert(config.rails.leeway_seconds.into());
    settings.entry("session_max_seconds").or_insert(config.rails.session_max_seconds.into());
    Value::Object(settings).to_string()
}

/// A TOML table as a JSON object. Dates become texts (RFC 3339); a number that JSON can't hold is the error.
pub(super) fn json_object(table: &DeTable<'_>) -> Result<Map<String, Value>, String> {
    table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), json_value(value.get_ref())?))).collect()
}

fn json_value(value: &DeValue<'_>) -> Result<Value, String> {
    let unfit = |text: &str| format!("expected a number that JSON can hold, found {text}");
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(int) => {
            let number = i64::from_str_radix(int.as_str(), int.radix()).map_err(|_| unfit(int.as_str()))?;
            Value::from(number)
        }
        DeValue::Float(float) => {
            let number = float.as_str().parse().ok().and_then(serde_json::Number::from_f64);
            Value::Number(number.ok_or_else(|| unfit(float.as_str()))?)
        }
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| json_value(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => Value::Object(json_object(table)?),
    })
}
