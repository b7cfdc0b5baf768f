//! `[policy]`: the settings that go to the component, from TOML to the JSON that it takes.

use serde_json::{Map, Value, json};
use toml::de::{DeTable, DeValue};

use super::Config;

/// Completes a policy's settings with what the configuration says anyway.
#[derive(Clone, Debug)]
pub struct PolicySettings {
    own: Map<String, Value>,
    known: [(&'static str, Value); 3],
}

impl PolicySettings {
    /// Of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let issuers = config.issuers.iter();
        let issuers = issuers.map(|i| json!({"issuer": i.issuer, "introspection": i.introspection.code()})).collect();
        Self {
            own: config.policy.settings.clone(),
            known: [
                ("issuers", Value::Array(issuers)),
                ("leeway_seconds", config.rails.leeway_seconds.into()),
                ("session_max_seconds", config.rails.session_max_seconds.into()),
            ],
        }
    }

    /// The settings as a component gets them: `given`, else `[policy.settings]`, and what the rest of the configuration
    /// already says (`issuers`, `leeway_seconds`, `session_max_seconds`) where they do not say it themselves.
    ///
    /// # Errors
    /// `given` is no JSON object: what was expected.
    pub fn complete(&self, given: Option<&str>) -> Result<String, String> {
        let mut settings = match given {
            None => self.own.clone(),
            Some(text) => match serde_json::from_str(text) {
                Ok(Value::Object(settings)) => settings,
                Ok(_) => return Err("expected a JSON object".to_owned()),
                Err(error) => return Err(format!("expected a JSON object: {error}")),
            },
        };
        for (key, value) in &self.known {
            settings.entry(*key).or_insert_with(|| value.clone());
        }
        Ok(Value::Object(settings).to_string())
    }
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
