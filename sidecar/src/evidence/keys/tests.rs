//! Keys under a provider that does what each test tells it, in simulated time.

mod copies;
mod documents;
mod outages;
mod provider;
mod rotation;
